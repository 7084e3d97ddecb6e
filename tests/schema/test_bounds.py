"""What a schema may cost: size, depth, width, and references that multiply."""

from __future__ import annotations

from typing import Any

import pytest

from trimcp.schema.validation import SchemaLimits, SchemaRefused, compile_schema


def doubling(steps: int) -> dict[str, Any]:
    """A schema whose references double `steps` times."""
    definitions: dict[str, Any] = {
        f"a{step}": {"allOf": [{"$ref": f"#/$defs/a{step + 1}"}, {"$ref": f"#/$defs/a{step + 1}"}]}
        for step in range(steps)
    }
    return {"$defs": {**definitions, f"a{steps}": {"type": "integer"}}, "$ref": "#/$defs/a0"}


def nested(keyword: str, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {keyword: schema}
    return schema


@pytest.mark.parametrize("schema", [None, [], "x", 3, {"a": object()}, {1: 2}, {"a": {1, 2}}])
def test_what_is_no_json_schema_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaRefused):
        compile_schema(schema)


def test_a_schema_has_a_limit_of_bytes() -> None:
    with pytest.raises(SchemaRefused, match=r"bytes, the limit is 262144"):
        compile_schema({"description": "x" * 262_144})
    with pytest.raises(SchemaRefused, match="limit is 10"):
        compile_schema({"title": "something"}, limits=SchemaLimits(size=10))


def test_a_schema_has_a_limit_of_depth_whatever_is_nested() -> None:
    compile_schema(nested("not", 63))
    for keyword in ("not", "default"):
        with pytest.raises(SchemaRefused, match="64 levels"):
            compile_schema(nested(keyword, 64))


def test_a_schema_has_a_limit_of_subschemas() -> None:
    limits = SchemaLimits(subschemas=100)
    compile_schema({"properties": {str(n): {} for n in range(99)}}, limits=limits)
    with pytest.raises(SchemaRefused, match="more than 100 subschemas"):
        compile_schema({"properties": {str(n): {} for n in range(100)}}, limits=limits)


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf", "prefixItems"])
def test_subschemas_of_every_list_are_counted(keyword: str) -> None:
    with pytest.raises(SchemaRefused, match="subschemas"):
        compile_schema({keyword: [{} for _ in range(11)]}, limits=SchemaLimits(subschemas=11))


def test_references_that_double_at_each_step_are_refused_before_they_cost_anything() -> None:
    assert compile_schema(doubling(10)).is_valid(1)
    with pytest.raises(SchemaRefused, match="expand to more than 1000000"):
        compile_schema(doubling(40))


def test_doubling_through_embedded_identifiers_and_anchors_is_seen_too() -> None:
    by_id = {
        f"a{step}": {"$id": f"s{step}", "allOf": [{"$ref": f"s{step + 1}"}, {"$ref": f"s{step + 1}"}]}
        for step in range(40)
    }
    with pytest.raises(SchemaRefused, match="expand"):
        compile_schema({"$id": "https://example.com/", "$defs": {**by_id, "end": {"$id": "s40"}}, "$ref": "s0"})
    by_anchor = {
        f"a{step}": {"$anchor": f"s{step}", "anyOf": [{"$ref": f"#s{step + 1}"}, {"$ref": f"#s{step + 1}"}]}
        for step in range(40)
    }
    with pytest.raises(SchemaRefused, match="expand"):
        compile_schema({"$defs": {**by_anchor, "end": {"$anchor": "s40"}}, "$ref": "#s0"})


def test_recursive_schemas_are_welcome() -> None:
    tree = {"$defs": {"n": {"type": "object", "additionalProperties": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}
    validator = compile_schema(tree)
    assert validator.is_valid({"a": {"b": {}}})
    assert validator.problems({"a": {"b": 1}}) == ["expected object @ $.a.b"]
    assert compile_schema({"$ref": "#"}).is_valid(1)


def test_a_long_chain_of_references_does_not_overflow_anything() -> None:
    definitions: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(3000)}
    schema = {"$defs": {**definitions, "a3000": {"type": "integer"}}, "$ref": "#/$defs/a0"}
    assert compile_schema(schema).is_valid(1)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"b": {}}},
        {"$ref": "#nowhere"},
        {"$ref": "#/allOf/3", "allOf": [{}]},
        {"$ref": "#/title/x", "title": "a"},
    ],
)
def test_a_reference_to_what_is_not_there_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaRefused, match="does not contain"):
        compile_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"type": "integer"}}},
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "integer"}}},
        {"$ref": "#/allOf/0", "allOf": [{"type": "integer"}]},
        {"$ref": "#there", "$defs": {"x": {"$anchor": "there", "type": "integer"}}},
        {"$dynamicRef": "#there", "$defs": {"x": {"$dynamicAnchor": "there", "type": "integer"}}},
        {"$id": "https://example.com/a/", "$ref": "b", "$defs": {"x": {"$id": "b", "type": "integer"}}},
        {"$id": "https://example.com/a/", "$ref": "b#/x", "$defs": {"x": {"$id": "b", "x": {"type": "integer"}}}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [{"$ref": "#there"}],
            "definitions": {"x": {"$id": "#there", "type": "integer"}},
        },
    ],
)
def test_references_within_the_schema_are_followed(schema: dict[str, Any]) -> None:
    validator = compile_schema(schema)
    assert validator.is_valid(1)
    assert not validator.is_valid("a")


@pytest.mark.parametrize(
    "schema", [{"$id": "http://x/", "$ref": "//[bad#a"}, {"$id": "http://x/", "not": {"$id": "//[b"}}]
)
def test_an_identifier_that_is_no_uri_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaRefused, match=r"not a URI|not valid"):
        compile_schema(schema)


def test_a_reference_may_lead_to_a_boolean() -> None:
    assert compile_schema({"$ref": "#/$defs/a", "$defs": {"a": True}}).is_valid(1)
    assert not compile_schema({"$ref": "#/$defs/a", "$defs": {"a": False}}).is_valid(1)


def test_a_reference_to_a_meta_schema_needs_no_network() -> None:
    validator = compile_schema({"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert validator.is_valid({"type": "integer"})
    assert not validator.is_valid({"type": "whole"})


def test_data_that_looks_like_a_reference_is_not_one() -> None:
    schema = {"const": {"$ref": "http://example.com"}, "default": {"$ref": "x"}, "properties": {"default": {}}}
    assert compile_schema(schema).is_valid({"$ref": "http://example.com"})
