"""What functions return, as results of tools."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import types
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import msgspec
import orjson
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp.errors import InvalidResult, UsageError
from trimcp.schema.builder import value_loader
from trimcp.schema.validation import compile_schema
from trimcp.server.invocation.media import Image
from trimcp.server.invocation.signature import MISSING
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.types.content import EmbeddedResource, ResourceLink, TextContent, TextResourceContents
from trimcp.types.fields import ABSENT
from trimcp.types.tools import CallToolResult

PNG = b"\x89PNG\r\n\x1a\n...."


def converter(returns: Any = MISSING, **options: Any) -> ToolResultConverter:
    return ToolResultConverter(returns, owner="forecast()", **options)


def texts(result: CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, TextContent)]


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    _cache: int = 9
    kind: str = dataclasses.field(default="point", init=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    at: datetime.datetime
    points: list[Point]


@attrs.define
class Forecast:
    city: str
    days: list[Point]
    color: Color = Color.RED
    _secret: str = "s"


class Movie(TypedDict):
    title: str
    year: int | None


class Spot(NamedTuple):
    x: int
    day: datetime.date


class Order(pydantic.BaseModel):
    lines: list[int]
    made: datetime.date = pydantic.Field(default=datetime.date(2026, 1, 31), alias="madeOn")


class Ticket(msgspec.Struct, rename="camel"):
    seat_no: int


class Ratio(float):
    pass


POINT = {"x": 1, "y": 0.0, "kind": "point"}

# annotation, value, text, JSON; wrapped or not is told by the published schema
STRUCTURED: list[tuple[Any, Any, str, Any]] = [
    (int, 3, "3", 3),
    (int, -(2**63), "-9223372036854775808", -(2**63)),
    (int, 2**64 - 1, "18446744073709551615", 2**64 - 1),
    (float, 1.5, "1.5", 1.5),
    (float, 3, "3", 3),
    (float, Ratio(0.5), "0.5", 0.5),
    (bool, True, "true", True),
    (bool, False, "false", False),
    (str, "", "", ""),
    (str, "warm", "warm", "warm"),
    (str, "wärm ☀", "wärm ☀", "wärm ☀"),
    (bytes, b"a", "YQ==", "YQ=="),
    (list[int], [1, 2], "[1,2]", [1, 2]),
    (list[str], ["a"], '["a"]', ["a"]),
    (list[int], (1, 2), "[1,2]", [1, 2]),
    (set[int], {1}, "[1]", [1]),
    (frozenset[int], frozenset({1}), "[1]", [1]),
    (collections.deque[int], collections.deque([1]), "[1]", [1]),
    (tuple[int, str], (1, "a"), '[1,"a"]', [1, "a"]),
    (dict[str, int], {"a": 1}, '{"a":1}', {"a": 1}),
    (dict, {"a": [1]}, '{"a":[1]}', {"a": [1]}),
    (dict[int, str], {1: "a"}, '{"1":"a"}', {"1": "a"}),
    (dict[Color, int], {Color.RED: 1}, '{"red":1}', {"red": 1}),
    (collections.OrderedDict[str, int], collections.OrderedDict(a=1), '{"a":1}', {"a": 1}),
    (typing.Mapping[str, int], types.MappingProxyType({"a": 1}), '{"a":1}', {"a": 1}),
    (int | None, None, "null", None),
    (Point | None, None, "null", None),
    (Color, Color.RED, "red", "red"),
    (datetime.date, datetime.date(2026, 1, 31), "2026-01-31", "2026-01-31"),
    (datetime.timedelta, datetime.timedelta(hours=1), "PT3600S", "PT3600S"),
    (datetime.timedelta, datetime.timedelta(days=-2, microseconds=5), "-P1DT86399.999995S", "-P1DT86399.999995S"),
    (datetime.timedelta, datetime.timedelta(), "PT0S", "PT0S"),
    (datetime.timedelta, datetime.timedelta(days=3), "P3D", "P3D"),
    (uuid.UUID, uuid.UUID(int=3), str(uuid.UUID(int=3)), str(uuid.UUID(int=3))),
    (decimal.Decimal, decimal.Decimal("1.10"), "1.10", "1.10"),
    (pathlib.PurePosixPath, pathlib.PurePosixPath("/a"), "/a", "/a"),
    (ipaddress.IPv4Address, ipaddress.IPv4Address("192.0.2.1"), "192.0.2.1", "192.0.2.1"),
    (Point, Point(1), '{"x":1,"y":0.0,"kind":"point"}', POINT),
    (Movie, {"title": "a", "year": None}, '{"title":"a","year":null}', {"title": "a", "year": None}),
    (Spot, Spot(1, datetime.date(2026, 1, 31)), '{"x":1,"day":"2026-01-31"}', {"x": 1, "day": "2026-01-31"}),
    (
        Forecast,
        Forecast("Bern", [Point(1)]),
        '{"city":"Bern","days":[{"x":1,"y":0.0,"kind":"point"}],"color":"red"}',
        {"city": "Bern", "days": [POINT], "color": "red"},
    ),
    (
        Slotted,
        Slotted(datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC), []),
        '{"at":"2026-01-31T00:00:00+00:00","points":[]}',
        {"at": "2026-01-31T00:00:00+00:00", "points": []},
    ),
    (Order, Order(lines=[1]), '{"lines":[1],"madeOn":"2026-01-31"}', {"lines": [1], "madeOn": "2026-01-31"}),
    (list[Order], [Order(lines=[])], '[{"lines":[],"madeOn":"2026-01-31"}]', [{"lines": [], "madeOn": "2026-01-31"}]),
    (Ticket, Ticket(3), '{"seatNo":3}', {"seatNo": 3}),
    (Annotated[int, "degrees"], 3, "3", 3),
    (Point, {"x": 1, "y": 2, "kind": "p"}, '{"x":1,"y":2,"kind":"p"}', {"x": 1, "y": 2, "kind": "p"}),
]


@pytest.mark.parametrize(
    ("annotation", "value", "text", "data"), STRUCTURED, ids=[f"{row[0]}-{row[1]!r}" for row in STRUCTURED]
)
def test_a_typed_value_is_both_text_and_structured_content(annotation: Any, value: Any, text: str, data: Any) -> None:
    made = converter(annotation)
    result = made.convert(value)
    assert texts(result) == [text]
    expected = {"result": data} if made.wrapped else data
    assert result.structured_content == expected
    assert orjson.loads(orjson.dumps(result.structured_content)) == expected
    assert result.is_error is None
    assert made.output_schema is not None
    assert compile_schema(made.output_schema).is_valid(result.structured_content)


@pytest.mark.parametrize("annotation", [int, str, list[int], Point | None, Color, dict[str, int] | list[int]])
def test_what_need_not_be_an_object_is_wrapped(annotation: Any) -> None:
    made = converter(annotation)
    assert made.wrapped
    assert made.output_schema is not None
    assert made.output_schema["required"] == ["result"]


@pytest.mark.parametrize("annotation", [Point, Movie, Order, dict[str, int], dict])
def test_an_object_is_not_wrapped(annotation: Any) -> None:
    made = converter(annotation)
    assert not made.wrapped
    assert made.output_schema is not None
    assert made.output_schema["type"] == "object"


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int, True, r"expected integer @ \$\.result"),
        (int, "3", r"does not fit its output schema \(from the annotation int\).*expected integer @ \$\.result"),
        (int, None, r"expected integer @ \$\.result"),
        pytest.param(int, 10**4300, "an integer of more than 4,300 digits: use a string", id="long"),
        (str, 3, r"expected string @ \$\.result"),
        (str, "\ud800", "surrogates"),
        (bool, 1, r"expected boolean @ \$\.result"),
        (float, float("nan"), "NaN and infinity are no numbers of JSON: use null or a string"),
        (float, float("inf"), "NaN and infinity"),
        (decimal.Decimal, decimal.Decimal("nan"), "NaN and infinity"),
        (float | None, float("nan"), "NaN and infinity"),
        (dict[str, Any], {"a": [float("nan")]}, "NaN and infinity"),
        (dict[str, Any], {"a": [None, {"b": decimal.Decimal("inf")}]}, "NaN and infinity"),
        (list[Any], [float("-inf")], "NaN and infinity"),
        (Any, float("nan"), "NaN and infinity"),
        (MISSING, {"a": float("nan")}, "NaN and infinity"),
        (CallToolResult, [float("nan"), 1], "NaN and infinity"),
        (list[int], [1, "a"], r"expected integer @ \$\.result\[1\]"),
        (Point, Point("1"), r"expected integer @ \$\.x"),  # type: ignore[arg-type]
        (Point, None, r"annotation Point\).*change the annotation; expected object @ \$"),
        (Point, Order(lines=[]), r"required property missing @ \$\.x"),
        (Movie, {"title": "a"}, r"required property missing @ \$\.year"),
        (dict[str, Any], [("a", 1)], r"expected object @ \$"),
        (dict[str, Any], {"a": object()}, "a value of the type object has no JSON form: return a dataclass"),
        (dict[str, Any], {(1,): 1}, "no JSON form"),
        (dict[str, Any], {"a": 10**4300}, "4,300 digits"),
        (Point, Image(PNG), "a value of the type Image has no JSON form"),
        (Color, "green", r'expected "red"|expected one of "red"'),
    ],
)
def test_what_does_not_fit_is_the_tools_mistake_and_says_so(annotation: Any, value: Any, words: str) -> None:
    with pytest.raises(InvalidResult, match=words) as caught:
        converter(annotation).convert(value)
    assert "forecast()" in str(caught.value)


@pytest.mark.parametrize("annotation", [MISSING, Any, None, type(None), object, typing.NoReturn, CallToolResult])
def test_an_annotation_that_says_nothing_gives_no_schema(annotation: Any) -> None:
    made = converter(annotation)
    assert made.output_schema is None
    assert not made.wrapped


LINK = ResourceLink(uri="a:b", name="b")
EMBEDDED = EmbeddedResource(TextResourceContents(uri="a:b", text="t"))
BLOCK = TextContent("block")


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (None, []),
        ("a", [TextContent("a")]),
        (3, [TextContent("3")]),
        (True, [TextContent("true")]),
        ({"a": 1}, [TextContent('{"a":1}')]),
        (["a", 1], [TextContent('["a",1]')]),
        ([], [TextContent("[]")]),
        (Point(1), [TextContent('{"x":1,"y":0.0,"kind":"point"}')]),
        (Spot(1, datetime.date(2026, 1, 31)), [TextContent('{"x":1,"day":"2026-01-31"}')]),
        (BLOCK, [BLOCK]),
        (LINK, [LINK]),
        (Image(PNG), [Image(PNG).to_content()]),
        (
            ["a", BLOCK, Image(PNG), {"a": 1}],
            [TextContent("a"), BLOCK, Image(PNG).to_content(), TextContent('{"a":1}')],
        ),
        ((EMBEDDED, "a"), [EMBEDDED, TextContent("a")]),
    ],
)
def test_an_untyped_value_is_content_alone(value: Any, content: list[Any]) -> None:
    result = converter().convert(value)
    assert result.content == content
    assert result.structured_content is ABSENT


@pytest.mark.parametrize(
    "annotation",
    [
        TextContent,
        Image,
        Image | str,
        list[TextContent],
        list[TextContent | str],
        tuple[str, Image],
        typing.Sequence[Image],
        Annotated[Image, "a picture"],
        TextContent | None,
    ],
)
def test_an_annotation_with_content_in_it_gives_no_schema(annotation: Any) -> None:
    assert converter(annotation).output_schema is None


def test_a_list_declared_as_content_has_a_block_for_each_item() -> None:
    made = converter(list[TextContent | str])
    assert made.convert(["a", "b"]).content == [TextContent("a"), TextContent("b")]
    assert made.convert([]).content == []


def test_what_cannot_be_sent_is_told_without_a_schema_too() -> None:
    with pytest.raises(InvalidResult, match=r"forecast\(\) returned a value that cannot be sent: .* type object"):
        converter().convert(object())
    with pytest.raises(InvalidResult, match="cannot be sent"):
        converter().convert(["a", BLOCK, object()])


@pytest.mark.parametrize("annotation", [complex, list[complex], Callable[[], int], typing.AsyncIterator[int]])
def test_a_return_type_without_a_json_form_is_refused_at_registration(annotation: Any) -> None:
    with pytest.raises(UsageError, match=r"forecast\(\), its return annotation.* has no JSON form"):
        converter(annotation)


def test_the_structured_content_shares_nothing_with_what_the_function_keeps() -> None:
    kept = {"a": [1]}
    result = converter(dict[str, list[int]]).convert(kept)
    kept["a"].append(2)
    assert result.structured_content == {"a": [1]}


@settings(max_examples=80, deadline=None)
@given(
    st.builds(
        Forecast,
        st.text(),
        st.lists(
            st.builds(Point, st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)), max_size=4
        ),
    )
)
def test_what_one_side_returns_the_other_side_reads_back(value: Forecast) -> None:
    @attrs.define
    class Day:
        x: int
        y: float
        kind: str

    @attrs.define
    class Read:
        city: str
        days: list[Day]

    read = value_loader(Read)(converter(Forecast).convert(value).structured_content)
    assert read == Read(value.city, [Day(day.x, day.y, day.kind) for day in value.days])


@settings(max_examples=80, deadline=None)
@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none())
def test_a_value_is_shaped_exactly_if_it_is_of_the_declared_type(value: Any) -> None:
    for annotation in (int, float, str, bool):
        try:
            result = converter(annotation).convert(value)
        except InvalidResult:
            fits = type(value) is annotation or (annotation is float and type(value) is int)
            unsendable = (type(value) is int and not -(2**63) <= value < 2**64) or type(value) in (float, str)
            assert not fits or unsendable
        else:
            assert result.structured_content == {"result": value}
            assert isinstance(value, int | float) if annotation in (int, float) else type(value) is annotation
