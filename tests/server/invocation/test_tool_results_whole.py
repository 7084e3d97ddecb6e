"""Results that the tool made itself, and output schemas that its author wrote."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypedDict

import pytest

from trimcp.errors import InvalidResult, UsageError
from trimcp.server.invocation.signature import MISSING
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.types.content import TextContent
from trimcp.types.input_required import InputRequiredResult
from trimcp.types.tools import CallToolResult

BLOCK = TextContent("block")


def converter(returns: Any = MISSING, **options: Any) -> ToolResultConverter:
    return ToolResultConverter(returns, owner="forecast()", **options)


class Movie(TypedDict):
    title: str
    year: int | None


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    _cache: int = 9
    kind: str = dataclasses.field(default="point", init=False)


class TestWholeResults:
    """Results that the tool made itself."""

    @pytest.mark.parametrize("annotation", [MISSING, CallToolResult, str, Point, int | CallToolResult])
    def test_an_error_is_handed_on_as_it_is(self, annotation: Any) -> None:
        whole = CallToolResult([BLOCK], is_error=True)
        assert converter(annotation).convert(whole) is whole

    def test_without_a_schema_it_is_handed_on_as_it_is(self) -> None:
        whole = CallToolResult([BLOCK], {"any": "thing"})
        assert converter(CallToolResult).convert(whole) is whole
        assert converter().convert(whole) is whole

    @pytest.mark.parametrize("annotation", [Annotated[CallToolResult, Movie], Movie, Movie | CallToolResult])
    def test_with_a_schema_its_structured_content_must_fit(self, annotation: Any) -> None:
        made = converter(annotation)
        assert made.output_schema == converter(Movie).output_schema
        fitting = CallToolResult([BLOCK], {"title": "a", "year": 1})
        assert made.convert(fitting) is fitting
        with pytest.raises(InvalidResult, match=r"expected integer or null @ \$\.year"):
            made.convert(CallToolResult([BLOCK], {"title": "a", "year": "1"}))
        with pytest.raises(InvalidResult, match="has an output schema: return a result with structured_content"):
            made.convert(CallToolResult([BLOCK]))

    def test_metadata_of_the_data_type_is_kept(self) -> None:
        made = converter(Annotated[CallToolResult, Movie, "A film."])
        assert made.output_schema is not None
        assert made.output_schema["description"] == "A film."

    @pytest.mark.parametrize("annotation", [MISSING, int | InputRequiredResult, CallToolResult | InputRequiredResult])
    def test_other_results_of_the_protocol_are_handed_on(self, annotation: Any) -> None:
        question = InputRequiredResult()
        made = converter(annotation)
        shaped: object = made.convert(question)
        assert shaped is question
        assert (made.output_schema is None) is (annotation != int | InputRequiredResult)


class TestHandWrittenSchemas:
    """An output schema instead of the one from the annotation."""

    def test_a_schema_of_an_object_is_published_as_it_is(self) -> None:
        schema = {"type": "object", "required": ["a"]}
        made = converter(MISSING, schema=schema)
        assert made.output_schema is schema
        assert made.convert({"a": 1}).structured_content == {"a": 1}
        with pytest.raises(InvalidResult, match="output schema"):
            made.convert({})

    def test_any_other_schema_is_wrapped_with_its_definitions(self) -> None:
        schema = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer", "minimum": 2}}}
        made = converter(int, schema=schema)
        assert made.wrapped
        assert made.output_schema == {
            "type": "object",
            "properties": {"result": {"$ref": "#/$defs/n"}},
            "required": ["result"],
            "$defs": {"n": {"type": "integer", "minimum": 2}},
        }
        assert made.convert(2).structured_content == {"result": 2}
        with pytest.raises(InvalidResult, match=r"value is less than the minimum of 2 @ \$\.result"):
            made.convert(1)

    def test_an_invalid_schema_is_an_error_of_usage(self) -> None:
        with pytest.raises(UsageError):
            converter(MISSING, schema={"type": "object", "properties": 3})
