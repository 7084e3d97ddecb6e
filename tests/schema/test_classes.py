"""Classes, generics and aliases as JSON Schema, and their instances built of JSON."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Generic

import pytest
import typing_extensions

from tests.server.invocation.declared import (
    Bound,
    Color,
    Either,
    IntPage,
    Json,
    Level,
    Movie,
    Named,
    Node,
    Page,
    Point,
    Sequel,
    Spot,
    Suit,
    T,
)
from tests.server.invocation.shaping import INTEGER, STRING, assert_valid, load, refused, schema_of
from trimcp.errors import UsageError
from trimcp.server.invocation.tool_schema import tool_output_schema

POINT_IN = {
    "type": "object",
    "description": "A point in the plane.",
    "properties": {
        "x": {"type": "integer", "description": "To the right."},
        "y": {"type": "integer", "description": "Upwards", "minimum": 0, "default": 0},
        "tags": {"type": "array", "items": STRING, "description": "Names"},
        "extra": {"anyOf": [STRING, {"type": "null"}], "default": None},
    },
    "required": ["x"],
    "additionalProperties": False,
}
POINT_OUT = {
    "type": "object",
    "description": "A point in the plane.",
    "properties": {
        "x": {"type": "integer", "description": "To the right."},
        "y": {"type": "integer", "description": "Upwards", "minimum": 0},
        "tags": {"type": "array", "items": STRING, "description": "Names"},
        "hidden": INTEGER,
    },
    "required": ["x", "y", "tags", "hidden"],
}


def test_a_dataclass_is_an_object_with_its_init_parameters() -> None:
    assert schema_of(Point) == POINT_IN
    assert load(Point, {"x": 1, "tags": ["a"], "extra": "e"}) == Point(1, 0, ["a"])


def test_as_a_result_a_dataclass_has_all_its_attributes() -> None:
    shape = tool_output_schema(Point, "f()")
    assert_valid(shape.schema)
    assert shape.schema == POINT_OUT
    assert not shape.wrapped


def test_an_attrs_class_may_contain_itself() -> None:
    schema = schema_of(Node)
    assert schema["$ref"] == "#/$defs/Node"
    assert schema["$defs"]["Node"]["properties"] == {
        "name": STRING,
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "secret": {"type": "integer", "default": 0},
    }
    assert load(Node, {"name": "a", "children": [{"name": "b", "secret": 2}]}) == Node("a", [Node("b", [], 2)])
    out = tool_output_schema(Node, "f()").schema
    assert set(out["properties"]) == {"name", "children", "derived"}
    assert out["type"] == "object"
    assert out["$defs"]["Node"]["required"] == ["name", "children", "derived"]


def test_a_typed_dict_knows_what_is_required_though_its_hints_are_strings() -> None:
    definition = schema_of(Sequel)
    assert definition["required"] == ["title", "part"]
    assert definition["properties"]["part"] == {"type": "integer", "minimum": 2}
    assert load(Sequel, {"title": "a", "part": 2, "released": "2026-01-31"}) == {
        "title": "a",
        "part": 2,
        "released": datetime.date(2026, 1, 31),
    }
    assert tool_output_schema(Movie, "f()").schema["required"] == ["title"]


def test_a_named_tuple_is_an_object_with_names() -> None:
    definition = schema_of(Spot)
    assert set(definition["properties"]) == {"x", "when"}
    assert definition["required"] == ["x"]
    assert load(Spot, {"x": 1, "when": "2026-01-31"}) == Spot(1, datetime.date(2026, 1, 31))


def test_enumerations_are_given_by_value() -> None:
    assert schema_of(Color) == {
        "type": "string",
        "enum": ["red", "blue"],
        "description": "A colour.",
    }
    assert load(Color, "red") is Color.RED
    assert load(Level, 2.0) is Level.HIGH
    assert load(Suit, "h") is Suit.HEARTS
    assert load(dict[Color, int], {"red": 1}) == {Color.RED: 1}
    assert refused(Level, 3) == "expected one of 1, 2 @ $.p"


def test_generic_classes_have_a_definition_for_each_use() -> None:
    schema = schema_of(dict[str, Page[int] | Page[datetime.date]])
    assert set(schema["$defs"]) == {"Page_int", "Page_date"}
    loaded = load(dict[str, Page[int] | Page[datetime.date]], {"a": {"items": ["2026-01-31"]}})
    assert loaded == {"a": Page([datetime.date(2026, 1, 31)])}
    assert load(IntPage, {"items": [1.0], "after": {"items": [2]}, "total": 1}) == IntPage([1], Page([2]), 1)
    assert load(Page, {"items": ["x", 1]}) == Page(["x", 1])


def test_type_variables_and_aliases_stand_for_their_types() -> None:
    assert schema_of(list[Bound]) == {"type": "array", "items": INTEGER}  # type: ignore[valid-type]
    assert schema_of(Either) == {"anyOf": [INTEGER, STRING]}
    assert schema_of(Named) == {"type": "object", "additionalProperties": INTEGER}
    assert load(Named, {"a": 1.0}) == {"a": 1}


def test_a_generic_alias_is_given_its_types() -> None:
    pair = typing_extensions.TypeAliasType("pair", tuple[T, T], type_params=(T,))
    assert load(pair[int], [1.0, 2]) == (1, 2)


def test_an_alias_that_cannot_be_resolved_is_an_error_of_usage() -> None:
    lost = typing_extensions.TypeAliasType("lost", "list[Nowhere]")  # type: ignore[name-defined]  # noqa: F821
    with pytest.raises(UsageError, match="the alias lost needs the name `Nowhere`"):
        schema_of(lost)


def test_a_recursive_alias_describes_json_itself() -> None:
    value = {"a": [{"b": None}, "c"]}
    assert load(Json, value) == value
    assert "$.p" in refused(Json, {"a": 3})


def test_two_classes_of_one_name_are_kept_apart() -> None:
    def other() -> type:
        @dataclasses.dataclass
        class Point:
            z: str

        return Point

    schema = schema_of(tuple[Point, other()])  # type: ignore[misc]
    assert [set(item["properties"]) for item in schema["prefixItems"]] == [set(POINT_IN["properties"]), {"z"}]


def test_classes_local_to_a_function_may_refer_to_each_other() -> None:
    @dataclasses.dataclass
    class Leaf:
        value: int

    @dataclasses.dataclass
    class Branch:
        leaves: list[Leaf]
        branches: list[Branch] = dataclasses.field(default_factory=list)

    assert load(Branch, {"leaves": [{"value": 1}], "branches": [{"leaves": []}]}) == Branch([Leaf(1)], [Branch([])])


def test_a_generic_class_without_its_types_takes_anything_inside() -> None:
    @dataclasses.dataclass
    class Both(Generic[T]):
        page: Page[T]
        bare: Page  # type: ignore[type-arg]
        one: T

    assert load(Both[int], {"page": {"items": [1.0]}, "bare": {"items": ["x"]}, "one": 2.0}) == Both(
        Page([1]), Page(["x"]), 2
    )
