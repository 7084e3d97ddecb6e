"""Definitions in the place of their references, and standard formats alone."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
from typing import Annotated, Any, NamedTuple, TypedDict

import annotated_types as at
import attrs
import msgspec
import pydantic
import pytest
import typing_extensions

from tests.server.invocation.shaping import assert_valid, load, schema_of
from trimcp.schema.inlining import LARGEST, inlined
from trimcp.server.invocation.tool_schema import tool_output_schema


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Data:
    color: Color


@attrs.define
class Attrs:
    data: Data


class Typed(TypedDict):
    attrs: Attrs


class Named(NamedTuple):
    typed: Typed


class Struct(msgspec.Struct):
    color: Color
    price: decimal.Decimal


class Model(pydantic.BaseModel):
    data: Data
    path: pathlib.Path
    secret: pydantic.SecretStr
    id: pydantic.UUID4


class Cat(pydantic.BaseModel):
    kind: typing.Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: typing.Literal["dog"]


class Home(pydantic.BaseModel):
    pet: Cat | Dog = pydantic.Field(discriminator="kind")


@dataclasses.dataclass
class Tree:
    color: Color
    children: list[Tree]


@dataclasses.dataclass
class Forest:
    """Trees."""

    oldest: Tree
    data: Data


Positive = typing_extensions.TypeAliasType("Positive", Annotated[int, at.Ge(1)])


def keywords(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keywords, value.values()))
    return set().union(*map(keywords, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    "hint", [Color, Data, Attrs, Typed, Named, Struct, Model, Home, list[Named | Struct | None], dict[str, Model]]
)
def test_a_type_that_does_not_recurse_stands_in_its_place(hint: Any) -> None:
    for schema in (schema_of(hint), tool_output_schema(hint, "f()").schema):
        assert_valid(schema)
        assert not {"$ref", "$defs", "discriminator"} & keywords(schema)


def test_only_the_type_that_contains_itself_is_referred_to() -> None:
    schema = schema_of(Forest)
    assert set(schema["$defs"]) == {"Tree"}
    assert schema["properties"]["oldest"] == {"$ref": "#/$defs/Tree"}
    assert "$ref" not in keywords(schema["$defs"]["Tree"]["properties"]["color"])
    value = {"oldest": {"color": "red", "children": []}, "data": {"color": "red"}}
    assert load(Forest, value) == Forest(Tree(Color.RED, []), Data(Color.RED))
    out = tool_output_schema(Tree, "f()").schema
    assert out["type"] == "object"
    assert out["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


@pytest.mark.parametrize(
    "hint", [Struct, Model, pathlib.Path, decimal.Decimal, datetime.date, list[pydantic.Base64Str]]
)
def test_every_format_is_one_of_json_schema(hint: Any) -> None:
    def formats(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["format"]} if isinstance(value.get("format"), str) else set()
            return own.union(*map(formats, value.values()))
        return set().union(*map(formats, value)) if isinstance(value, list) else set()

    for schema in (schema_of(hint), tool_output_schema(hint, "f()").schema):
        assert formats(schema) <= {"date", "uuid"}


def test_keywords_beside_a_reference_count_too() -> None:
    assert schema_of(Annotated[Positive, at.Le(9)]) == {"type": "integer", "minimum": 1, "maximum": 9}
    assert schema_of(Annotated[Positive, at.Ge(5)]) == {
        "allOf": [{"type": "integer", "minimum": 1}],
        "minimum": 5,
    }
    described = schema_of(Annotated[Data, "which"])
    assert described["description"] == "which"


def test_types_that_double_at_each_step_stay_under_their_names() -> None:
    hint: Any = Color
    for number in range(30):
        hint = dataclasses.make_dataclass(f"D{number}", [("a", hint), ("b", hint)])
    schema = schema_of(hint)
    assert_valid(schema)
    assert len(str(schema)) < LARGEST
    assert len(schema["$defs"]) == 31


@pytest.mark.parametrize("levels", [5, 15, 28])
def test_a_long_chain_of_types_is_no_deeper_than_clients_take(levels: int) -> None:
    hint: Any = int
    for number in range(levels):
        hint = dataclasses.make_dataclass(f"D{number}", [("inner", hint)])
    assert ("$defs" in schema_of(hint)) is (levels > 20)


def test_data_that_looks_like_a_reference_stays() -> None:
    data = {"const": {"$ref": "#/$defs/A"}, "default": {"$ref": "#/$defs/A"}, "enum": [{"$ref": "#/$defs/A"}]}
    assert inlined({**data, "properties": {"$ref": {"$ref": "#/$defs/A"}}}, {"A": {"type": "string"}}) == {
        **data,
        "properties": {"$ref": {"type": "string"}},
    }
