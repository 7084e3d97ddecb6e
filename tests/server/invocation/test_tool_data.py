"""What is data: defaults that a `Field` holds, private fields, aliases, flags."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any

import pydantic
import pytest

from tests.server.invocation.shaping import schema_of
from trimcp.errors import UsageError
from trimcp.schema.dump import dump
from trimcp.server.invocation.signature import inspect_function
from trimcp.server.invocation.string_arguments import StringArgumentBinder
from trimcp.server.invocation.tool_arguments import ArgumentBinder, InvalidArguments
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.server.invocation.tool_schema import tool_output_schema


def forecast(
    days: Annotated[int, pydantic.Field(default=20, ge=1)],
    tags: Annotated[list[str], pydantic.Field(default_factory=list)],
    note: Annotated[str | None, pydantic.Field(default=None)],
    city: Annotated[str, pydantic.Field(description="where")] = "Bern",
) -> None: ...


def test_a_default_inside_annotated_counts() -> None:
    signature = inspect_function(forecast, injected=lambda _: False)
    binder = ArgumentBinder(signature)
    assert "required" not in binder.schema
    assert binder.schema["properties"]["days"] == {"type": "integer", "minimum": 1, "default": 20}
    first, second = binder.bind(None), binder.bind({})
    assert first == second == {"days": 20, "tags": [], "note": None}
    assert first["tags"] is not second["tags"]
    with pytest.raises(InvalidArguments):
        binder.bind({"days": 0})
    assert StringArgumentBinder(signature.parameters, "forecast()").bind({"days": "3"})["days"] == 3


def test_a_default_of_python_comes_before_one_inside_annotated() -> None:
    def tool(days: Annotated[int, pydantic.Field(default=20)] = 3) -> None: ...

    binder = ArgumentBinder(inspect_function(tool, injected=lambda _: False))
    assert binder.schema["properties"]["days"]["default"] == 3


def test_a_factory_that_needs_other_values_is_refused() -> None:
    def tool(days: Annotated[int, pydantic.Field(default_factory=lambda data: 1)]) -> None: ...

    with pytest.raises(UsageError, match="default_factory of `days` takes data"):
        inspect_function(tool, injected=lambda _: False)


@dataclasses.dataclass
class Document:
    _id: str
    title: str
    _cache: dict[str, Any] = dataclasses.field(default_factory=dict)
    _read: int = dataclasses.field(init=False, default=0)


def test_a_field_that_is_taken_in_is_in_results_too() -> None:
    def tool(a: Document) -> None: ...

    binder = ArgumentBinder(inspect_function(tool, injected=lambda _: False))
    value = {"_id": "1", "title": "t"}
    document = binder.bind({"a": value})["a"]
    assert document == Document("1", "t")
    assert ToolResultConverter(Document, owner="f()").convert(document).structured_content == value
    assert dump(document) == b'{"_id":"1","title":"t"}'
    assert set(schema_of(Document)["properties"]) == set(tool_output_schema(Document, "f()").schema["properties"])
    with pytest.raises(InvalidArguments, match=r"unexpected property @ \$\.a\._cache"):
        binder.bind({"a": {**value, "_cache": {}}})


class Named(pydantic.BaseModel, serialize_by_alias=False):
    item_name: str = pydantic.Field(alias="itemName")


class Aliased(pydantic.BaseModel):
    item_name: str = pydantic.Field(alias="itemName")


@pytest.mark.parametrize(("cls", "name"), [(Named, "item_name"), (Aliased, "itemName")])
def test_a_model_decides_whether_results_hold_its_aliases(cls: Any, name: str) -> None:
    value = cls(itemName="a")
    for annotation in (cls, list[cls]):
        made = ToolResultConverter(annotation, owner="f()")
        result = made.convert([value] if annotation is not cls else value).structured_content
        assert result == ({"result": [{name: "a"}]} if annotation is not cls else {name: "a"})
    assert "itemName" in schema_of(cls)["properties"]


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize("hint", [Access, list[Access], enum.IntFlag("Bits", ["A", "B"])])
def test_flags_are_refused_with_another_way(hint: Any) -> None:
    with pytest.raises(UsageError, match=r"use a list of an enum\.Enum"):
        schema_of(hint)
    with pytest.raises(UsageError, match=r"use a list of an enum\.Enum"):
        ToolResultConverter(hint, owner="f()")


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (list[int], "[1, 2]", "expected array, got a string: send the array itself @ $.a"),
        (list[int] | None, " [] ", "expected array or null, got a string: send the array itself @ $.a"),
        (dict[str, Any], '{"a": 1}', "expected object, got a string: send the object itself @ $.a"),
        (Document, '{"_id": 1}', "expected object, got a string: send the object itself @ $.a"),
        (list[int] | dict[str, int], "{}", "expected array or object, got a string: send the object itself @ $.a"),
        (list[int], "1, 2", "expected array @ $.a"),
        (list[int], '{"a": 1}', "expected array @ $.a"),
        (list[int], {}, "expected array @ $.a"),
    ],
)
def test_a_string_that_holds_json_is_told_apart(hint: Any, value: Any, problem: str) -> None:
    def tool(a: Any) -> None: ...

    tool.__annotations__["a"] = hint
    with pytest.raises(InvalidArguments) as caught:
        ArgumentBinder(inspect_function(tool, injected=lambda _: False)).bind({"a": value})
    assert caught.value.problems == [problem]
