"""Every definition of every official schema has its place here, and every place its definition."""

from typing import Any

import attrs
import pytest

from tests.official import schemas
from tests.official.definitions import (
    CASES,
    ErrorMessage,
    ErrorObject,
    Message,
    Parts,
    Results,
    Row,
    Sent,
    Value,
    case_id,
    rows_of,
)
from trimcp.codec.classes import wire_fields
from trimcp.types import jsonrpc
from trimcp.types.methods import methods_of, resolve
from trimcp.types.revisions import REVISIONS, Revision


@pytest.mark.parametrize("revision", REVISIONS, ids=case_id)
def test_the_table_and_the_schema_hold_the_same_definitions(revision: Revision) -> None:
    assert set(rows_of(revision)) == set(schemas.definitions(revision.version))


@pytest.mark.parametrize("revision", REVISIONS, ids=case_id)
def test_every_method_of_a_revision_is_a_message_of_its_schema(revision: Revision) -> None:
    in_schema = {row.target.method for row in rows_of(revision).values() if isinstance(row.target, Message)}
    assert in_schema == set(methods_of(revision))


def cases(*kinds: type) -> list[tuple[Revision, Row]]:
    return [(revision, row) for revision, row in CASES if isinstance(row.target, kinds)]


def properties(definition: dict[str, Any]) -> set[str]:
    return set(definition.get("properties", {}))


@pytest.mark.parametrize(("revision", "row"), cases(Value), ids=case_id)
def test_a_class_has_the_fields_of_its_definition_and_no_others(revision: Revision, row: Row) -> None:
    assert isinstance(row.target, Value)
    cls = resolve(row.target.type)
    definition = schemas.definitions(revision.version)[row.name]
    if not (attrs.has(cls) and "properties" in definition):
        return
    ours = {field.wire for field in wire_fields(cls) if field.spec.exists_in(revision.order)}
    theirs = properties(definition) - {"resultType"}
    # Requests and notifications may carry `_meta` in every revision: their common part says so.
    assert ours - theirs <= ({"_meta"} if revision.order < 3 else set())
    assert theirs <= ours


@pytest.mark.parametrize(("revision", "row"), cases(Message), ids=case_id)
def test_a_message_has_the_method_and_the_params_of_its_definition(revision: Revision, row: Row) -> None:
    assert isinstance(row.target, Message)
    definition = schemas.definitions(revision.version)[row.name]
    assert definition["properties"]["method"]["const"] == row.target.method
    params = definition["properties"].get("params", {})
    cls = resolve(methods_of(revision)[row.target.method].params)
    if attrs.has(cls):
        ours = {field.wire for field in wire_fields(cls) if field.spec.exists_in(revision.order)}
        assert properties(params) <= ours


@pytest.mark.parametrize(("revision", "row"), cases(Sent), ids=case_id)
def test_each_side_sends_the_methods_of_its_union(revision: Revision, row: Row) -> None:
    assert isinstance(row.target, Sent)
    found = schemas.definitions(revision.version)
    union = found[row.name]
    members = [found[part["$ref"].rpartition("/")[2]] for part in union["anyOf"]] if "anyOf" in union else [union]
    assert {member["properties"]["method"]["const"] for member in members} == {
        method.name for method in methods_of(revision, row.target.side).values() if method.kind == row.target.kind
    }


@pytest.mark.parametrize(("revision", "row"), cases(Results), ids=case_id)
def test_each_result_of_a_union_has_a_class(revision: Revision, row: Row) -> None:
    union = schemas.definitions(revision.version)[row.name]
    for member in union.get("anyOf", [union]):
        assert isinstance(rows_of(revision)[member["$ref"].rpartition("/")[2]].target, Value)


@pytest.mark.parametrize(("revision", "row"), cases(Parts), ids=case_id)
def test_common_properties_are_in_each_class_that_has_them(revision: Revision, row: Row) -> None:
    assert isinstance(row.target, Parts)
    wanted = properties(schemas.definitions(revision.version)[row.name])
    for name in row.target.types:
        assert wanted <= {field.wire for field in wire_fields(resolve(name)) if field.spec.exists_in(revision.order)}


@pytest.mark.parametrize(("revision", "row"), cases(ErrorObject, ErrorMessage), ids=case_id)
def test_error_codes_are_those_of_the_schema(revision: Revision, row: Row) -> None:
    assert isinstance(row.target, ErrorObject | ErrorMessage)
    definition = schemas.definitions(revision.version)[row.name]
    if isinstance(row.target, ErrorMessage):
        definition = definition["properties"]["error"]["allOf"][1]
    code = definition["properties"]["code"]
    if row.target.code is not None:
        assert code["const"] == getattr(jsonrpc, row.target.code)
    else:
        assert "const" not in code
