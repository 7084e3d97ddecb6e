"""The strategies of JSON Schemas: each value is valid, and the shapes of the schema occur."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis.errors import Unsatisfiable

import trimcp
from trimcp.schema.validation import SchemaRefused, compile_schema
from trimcp.testing.from_schema import values_of

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["name"],
}
SCHEMAS: list[Any] = [
    {"type": "integer", "minimum": 3, "exclusiveMaximum": 6},
    {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 30},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    {"type": "number", "multipleOf": 0.5},
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "string", "pattern": "^[a-z]{2,4}$"},
    {"enum": ["a", 1, None]},
    {"const": {"a": [1]}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 2},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
    {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"x": {"type": "null"}}, "required": ["x"]}]},
    {"oneOf": [{"type": "integer", "minimum": 5}, {"type": "integer", "maximum": 4}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "boolean"}}}]},
    {"type": "integer", "not": {"const": 0}},
    {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}},
    {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "string"}}, "required": ["a"]},
    {"definitions": {"a/b": {"type": "null"}}, "$schema": "http://json-schema.org/draft-07/schema#",
     "properties": {"x": {"$ref": "#/definitions/a~1b"}}, "required": ["x"]},
    {"if": {"type": "integer"}, "then": {"minimum": 0}},
    True,
    *({"type": "string", "format": name} for name in ("date", "date-time", "time", "duration", "email", "uuid")),
    *({"type": "string", "format": name} for name in ("hostname", "ipv4", "ipv6", "uri", "regex")),
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_every_value_is_valid(schema: Any) -> None:
    validator = compile_schema(schema, formats=True)

    @settings(max_examples=10, deadline=None, database=None, derandomize=True)
    @given(values_of(schema))
    def check(value: Any) -> None:
        assert validator.is_valid(value)

    check()


def test_the_shapes_of_a_schema_occur() -> None:
    tree = values_of({"$ref": "#/$defs/tree", "$defs": {"tree": TREE}})
    assert find(tree, lambda value: bool(value.get("kids")))["kids"]
    assert find(values_of({"type": "object", "properties": {"a": {"type": "null"}}}), lambda value: "a" in value)
    assert find(values_of({"type": ["integer", "string"]}), lambda value: isinstance(value, str)) == ""


def test_an_impossible_schema_is_unsatisfiable_and_an_invalid_one_is_refused() -> None:
    with pytest.raises(Unsatisfiable):
        find(values_of({"type": "integer", "minimum": 2, "maximum": 1}), lambda _: True)
    with pytest.raises(Unsatisfiable):
        find(values_of({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"},
                        "minItems": 1}}}), lambda _: True)  # fmt: skip
    with pytest.raises(SchemaRefused):
        values_of({"type": "number", "minimum": "a word"})


def test_the_schemas_that_trimcp_makes_have_values() -> None:
    server = trimcp.Server("test")

    @server.tool
    def many(number: int, names: list[str], table: dict[str, float], maybe: bool | None = None) -> None:
        """Take many kinds of arguments."""

    schema = next(iter(server._declarations.tools.definitions())).input_schema
    seen = set()

    @settings(max_examples=20, deadline=None, database=None, derandomize=True)
    @given(values_of(schema))
    def check(value: Any) -> None:
        assert {"number", "names", "table"} <= value.keys()
        seen.update(value)

    check()
    assert "maybe" in seen
