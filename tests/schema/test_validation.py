"""Compiled schemas: dialects, the words for what is wrong, and that nothing of the values leaks."""

from __future__ import annotations

import socket
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp.errors import UsageError
from trimcp.schema.problems import explain
from trimcp.schema.validation import DIALECTS, SchemaRefused, compile_schema

OLDER_DIALECTS: dict[str, dict[str, Any]] = {
    "http://json-schema.org/draft-04/schema#": {"exclusiveMinimum": True, "minimum": 3},
    "http://json-schema.org/draft-06/schema#": {"exclusiveMinimum": 3},
    "http://json-schema.org/draft-07/schema#": {"if": {"maximum": 3}, "then": False},
    "https://json-schema.org/draft/2019-09/schema": {"$defs": {"a": {"exclusiveMinimum": 3}}, "$ref": "#/$defs/a"},
    "https://json-schema.org/draft/2020-12/schema": {"exclusiveMinimum": 3},
}


def test_a_schema_without_a_dialect_is_of_2020_12() -> None:
    validator = compile_schema({"prefixItems": [{"type": "integer"}], "items": False})
    assert validator.is_valid([1])
    assert not validator.is_valid(["a"])
    assert not validator.is_valid([1, 2])


@pytest.mark.parametrize("dialect", OLDER_DIALECTS)
def test_each_named_dialect_is_understood_in_its_own_way(dialect: str) -> None:
    validator = compile_schema({"$schema": dialect, **OLDER_DIALECTS[dialect]})
    assert validator.is_valid(4)
    assert not validator.is_valid(3)
    assert not validator.problems(4)
    assert validator.problems(3)


def test_every_supported_dialect_is_tested_above() -> None:
    tested = {name.removeprefix("http://").removeprefix("https://").removesuffix("#") for name in OLDER_DIALECTS}
    assert tested == set(DIALECTS)


@pytest.mark.parametrize("dialect", ["https://example.com/mine", "", None, 7, "draft-07"])
def test_an_unknown_dialect_is_refused_with_the_list_of_known_ones(dialect: Any) -> None:
    with pytest.raises(SchemaRefused, match=r"dialect is not supported.*2020-12.*draft-04"):
        compile_schema({"$schema": dialect})


def test_boolean_schemas_say_yes_or_no_to_everything() -> None:
    assert compile_schema(True).is_valid(object.__name__)
    validator = compile_schema(False)
    assert not validator.is_valid(1)
    assert validator.problems(1) == ["no value is allowed here @ $"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "whole"},
        {"properties": {"a": {"minimum": "3"}}},
        {"required": "a"},
        {"pattern": "("},
        {"anyOf": []},
    ],
)
def test_an_invalid_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaRefused, match="not valid in its dialect"):
        compile_schema(schema)


def test_a_refused_schema_is_an_error_of_usage() -> None:
    assert issubclass(SchemaRefused, UsageError)


@pytest.mark.parametrize(
    "reference", ["http://example.com/a.json", "https://10.0.0.1/x", "file:///etc/hosts", "other.json", "urn:a:b"]
)
def test_a_reference_to_the_outside_is_refused_and_nothing_is_fetched(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "create_connection", no_network)
    for schema in ({"$ref": reference}, {"properties": {"a": {"items": {"$ref": reference}}}}):
        with pytest.raises(SchemaRefused, match="outside itself"):
            compile_schema(schema)


def test_the_library_itself_would_be_refused_the_retrieval_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimcp.schema.validation.check_bounds", lambda *_: None)
    with pytest.raises(SchemaRefused, match="nothing is fetched"):
        compile_schema({"$ref": "http://example.com/a.json"})


def test_formats_are_annotations_unless_asked_for() -> None:
    schema = {"type": "string", "format": "date-time"}
    assert compile_schema(schema).is_valid("soon")
    checked = compile_schema(schema, formats=True)
    assert checked.is_valid("2026-01-31T12:00:00Z")
    assert checked.problems("soon") == ['value is not a "date-time" @ $']


PROBLEMS: list[tuple[Any, Any, list[str]]] = [
    ({"type": "integer"}, "5", ["expected integer @ $"]),
    ({"type": ["integer", "null"]}, "5", ["expected integer or null @ $"]),
    ({"required": ["city"]}, {}, ["required property missing @ $.city"]),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, ["unexpected property @ $.b"]),
    ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"b": 1}, ["unexpected property @ $.b"]),
    ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2], ["Unevaluated items are not allowed (1 item) @ $"]),
    ({"properties": {"n": {"minimum": 1}}}, {"n": 0}, ["value is less than the minimum of 1 @ $.n"]),
    ({"maximum": 1}, 2, ["value is greater than the maximum of 1 @ $"]),
    ({"exclusiveMinimum": 1}, 1, ["value is less than or equal to the minimum of 1 @ $"]),
    ({"exclusiveMaximum": 1.5}, 2, ["value is greater than or equal to the maximum of 1.5 @ $"]),
    ({"multipleOf": 3}, 4, ["value is not a multiple of 3 @ $"]),
    ({"minLength": 2}, "a", ["value is shorter than 2 characters @ $"]),
    ({"maxLength": 1}, "ab", ["value is longer than 1 character @ $"]),
    ({"items": {"minItems": 1}}, [[]], ["value has less than 1 item @ $[0]"]),
    ({"maxItems": 2}, [1, 2, 3], ["value has more than 2 items @ $"]),
    ({"minProperties": 2}, {}, ["value has less than 2 properties @ $"]),
    ({"maxProperties": 1}, {"a": 1, "b": 2}, ["value has more than 1 property @ $"]),
    ({"uniqueItems": True}, [1, 1], ["value has non-unique elements @ $"]),
    ({"pattern": "^a+$"}, "b", ['value does not match "^a+$" @ $']),
    ({"enum": ["a", 1, None]}, "b", ['expected one of "a", 1, null @ $']),
    ({"enum": list(range(30))}, "b", [f"expected one of {', '.join(map(str, range(20)))}, … @ $"]),
    ({"const": "x"}, "b", ['expected "x" @ $']),
    ({"not": {}}, 1, ["must satisfy the schema's `not` @ $"]),
    ({"contains": {"const": 5}}, [1], ["an item that the schema's `contains` asks for is missing @ $"]),
    (
        {"propertyNames": {"maxLength": 1}},
        {"ab": 1},
        ["invalid property name: value is longer than 1 character @ $"],
    ),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, ["required property missing @ $.b"]),
    ({"properties": {"a b": {"type": "null"}}}, {"a b": 1}, ['expected null @ $["a b"]']),
    ({"additionalProperties": {"type": "null"}}, {"x" * 99: 1}, [f'expected null @ $["{"x" * 64}…"]']),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a", ["expected integer or null @ $"]),
    (
        {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]},
        ["a", 1],
        ["expected string @ $[1]"],
    ),
    (
        {"anyOf": [{"type": "string", "minLength": 5}, {"type": "string", "pattern": "^x"}]},
        "a",
        ['fits none of the alternatives: value is shorter than 5 characters; or value does not match "^x" @ $'],
    ),
    (
        {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
        3,
        ["must fit exactly one of the alternatives, but fits several @ $"],
    ),
    ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, 3, ["expected boolean or null @ $"]),
    ({"if": {"const": 1}, "then": {"type": "string"}}, 1, ["expected string @ $"]),
]


@pytest.mark.parametrize(("schema", "value", "problems"), PROBLEMS)
def test_problems_say_what_was_expected_and_where(schema: Any, value: Any, problems: list[str]) -> None:
    validator = compile_schema(schema)
    assert not validator.is_valid(value)
    assert validator.problems(value) == problems


TAGGED = {
    "anyOf": [
        {"type": "object", "properties": {"k": {"const": "a"}, "x": {"type": "integer"}}, "required": ["k", "x"]},
        {"type": "object", "properties": {"k": {"const": "b"}, "y": {"type": "integer"}}, "required": ["k", "y"]},
    ]
}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"k": "b", "y": "1"}, "expected integer @ $.y"),
        ({"k": "a"}, "required property missing @ $.x"),
        ({"k": "c"}, 'fits none of the alternatives: expected "a"; or expected "b" @ $.k'),
        ({}, "fits none of the alternatives: required property missing @ $.k"),
        (7, "expected object @ $"),
    ],
)
def test_of_tagged_alternatives_the_one_that_was_meant_is_explained(value: Any, problem: str) -> None:
    assert compile_schema(TAGGED).problems(value) == [problem]


def test_alternatives_within_alternatives_are_explained_only_so_deep() -> None:
    schema: dict[str, Any] = {"type": "string", "minLength": 9}
    for _ in range(8):
        schema = {"anyOf": [{"type": "string", "maxLength": 0}, schema]}
    (problem,) = compile_schema(schema).problems("abc")
    assert "must fit one of 2 alternatives" in problem
    assert len(problem) < 300


def test_no_more_problems_are_listed_than_asked_for() -> None:
    validator = compile_schema({"items": {"type": "integer"}})
    assert len(validator.problems(["x"] * 100)) == 8
    assert len(validator.problems(["x"] * 100, most=3)) == 3


def test_of_a_large_value_only_the_first_problem_is_looked_for() -> None:
    validator = compile_schema({"items": {"type": "integer"}})
    assert validator.problems([1, "x", "y"] + ["x"] * 5000) == ["expected integer @ $[1]"]
    assert validator.problems([1] * 5000) == []


def test_the_same_problem_is_said_once() -> None:
    assert compile_schema({"allOf": [{"type": "null"}, {"type": "null", "title": "b"}]}).problems(1) == [
        "expected null @ $"
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_there_are_problems_exactly_where_a_value_is_invalid(value: Any) -> None:
    for schema, _, _ in PROBLEMS:
        validator = compile_schema(schema)
        assert bool(validator.problems(value)) is not validator.is_valid(value)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(categories=["Lu"]), min_size=8))
def test_values_of_the_data_never_stand_in_the_problems(secret: str) -> None:
    for schema, value, _ in PROBLEMS:
        if isinstance(value, str):
            assert secret not in " ".join(compile_schema(schema).problems(secret))
    schema = {"additionalProperties": {"anyOf": [{"type": "integer"}, {"items": {"const": 1}, "type": "array"}]}}
    assert secret not in " ".join(compile_schema(schema).problems({"a": secret, "b": [secret]}))


def test_a_kind_of_error_without_words_of_its_own_names_its_keyword() -> None:
    class Kind:
        name = "somethingNew"

        def as_dict(self) -> dict[str, Any]:
            return {}

    class Error:
        kind = Kind()
        instance_path = ("a",)

    assert explain([Error()], most=8) == ["must satisfy the schema's `somethingNew` @ $.a"]


def test_encodings_are_named_where_the_dialect_checks_them() -> None:
    validator = compile_schema({"$schema": "http://json-schema.org/draft-07/schema#", "contentEncoding": "base64"})
    assert validator.problems("*") == (
        [] if validator.is_valid("*") else ['value is not compliant with "base64" content encoding @ $']
    )


def test_what_the_library_cannot_compile_for_another_reason_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise jsonschema_rs.ReferencingError("odd")

    monkeypatch.setattr(jsonschema_rs, "Draft202012Validator", fail)
    with pytest.raises(SchemaRefused, match="cannot be compiled: odd"):
        compile_schema({})
