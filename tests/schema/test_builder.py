"""Type hints as JSON Schema, and the values that are built of them."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    Optional,
    Unpack,
)

import annotated_types as at
import pytest

from tests.server.invocation.declared import (
    Color,
    IntPage,
    Item,
    Json,
    Level,
    Movie,
    Named,
    Node,
    Page,
    Point,
    Spot,
    Ticket,
)
from tests.server.invocation.shaping import INTEGER, STRING, assert_valid, load, refused, schema_of
from trimcp.errors import UsageError
from trimcp.server.invocation.signature import inspect_function
from trimcp.server.invocation.tool_schema import tool_input_schema, tool_output_schema


class UserId(str):
    __slots__ = ()


Score = NewType("Score", int)

NULL = {"type": "null"}
DECIMAL_TEXT = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
DECIMAL = {"anyOf": [{"type": "string", "pattern": DECIMAL_TEXT}, {"type": "number"}]}

# hint, schema, a JSON value, the Python value
SIMPLE: list[tuple[Any, dict[str, Any], Any, Any]] = [
    (int, INTEGER, 1, 1),
    (float, {"type": "number"}, 1, 1.0),
    (str, STRING, "a", "a"),
    (bool, {"type": "boolean"}, True, True),
    (None, {"type": "null"}, None, None),
    (Any, {}, [1], [1]),
    (object, {}, {}, {}),
    (Literal["a"], {"type": "string", "enum": ["a"]}, "a", "a"),
    (Literal["a", 1, None], {"enum": ["a", 1, None]}, 1.0, 1),
    (Literal[1, True], {"enum": [1, True]}, True, True),
    (Literal[1, True], {"enum": [1, True]}, 1, 1),
    (Literal[Level.LOW], {"type": "integer", "enum": [1]}, 1, Level.LOW),
    (Score, INTEGER, 3, 3),
    (UserId, STRING, "u", UserId("u")),
    (Final[int], INTEGER, 3, 3),
    (datetime.datetime, {"type": "string", "format": "date-time"}, "2026-01-31T12:00:00+01:00", None),
    (datetime.date, {"type": "string", "format": "date"}, "2026-01-31", datetime.date(2026, 1, 31)),
    (datetime.time, {"type": "string", "format": "time"}, "12:30", datetime.time(12, 30)),
    (datetime.timedelta, {"type": "string", "format": "duration"}, "-P1DT2M", -datetime.timedelta(days=1, minutes=2)),
    (uuid.UUID, {"type": "string", "format": "uuid"}, str(uuid.UUID(int=3)), uuid.UUID(int=3)),
    (
        decimal.Decimal,
        DECIMAL,
        "1.10",
        decimal.Decimal("1.10"),
    ),
    (
        decimal.Decimal,
        DECIMAL,
        0.1,
        decimal.Decimal("0.1"),
    ),
    (bytes, {"type": "string", "contentEncoding": "base64"}, "YQ==", b"a"),
    (bytearray, {"type": "string", "contentEncoding": "base64"}, "YQ==", bytearray(b"a")),
    (pathlib.Path, STRING, "/a/b", pathlib.Path("/a/b")),
    (pathlib.PurePosixPath, STRING, "a", pathlib.PurePosixPath("a")),
    (ipaddress.IPv4Address, {"type": "string", "format": "ipv4"}, "192.0.2.1", ipaddress.IPv4Address("192.0.2.1")),
    (ipaddress.IPv6Address, {"type": "string", "format": "ipv6"}, "::1", ipaddress.IPv6Address("::1")),
    (list[int], {"type": "array", "items": INTEGER}, [1], [1]),
    (list, {"type": "array"}, [1, "a"], [1, "a"]),
    (Sequence[str], {"type": "array", "items": STRING}, ["a"], ["a"]),
    (Iterable[int], {"type": "array", "items": INTEGER}, [1], [1]),
    (set[int], {"type": "array", "items": INTEGER, "uniqueItems": True}, [1, 2], {1, 2}),
    (frozenset[str], {"type": "array", "items": STRING, "uniqueItems": True}, ["a"], frozenset("a")),
    (AbstractSet[str], {"type": "array", "items": STRING, "uniqueItems": True}, ["a"], frozenset("a")),
    (collections.deque[int], {"type": "array", "items": INTEGER}, [1], collections.deque([1])),
    (tuple[int, ...], {"type": "array", "items": INTEGER}, [1, 2], (1, 2)),
    (tuple, {"type": "array"}, [1, 2], (1, 2)),
    (
        tuple[int, datetime.date],
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [INTEGER, {"type": "string", "format": "date"}],
        },
        [1.0, "2026-01-31"],
        (1, datetime.date(2026, 1, 31)),
    ),
    (dict[str, int], {"type": "object", "additionalProperties": INTEGER}, {"a": 1}, {"a": 1}),
    (dict, {"type": "object"}, {"a": 1}, {"a": 1}),
    (Mapping[str, Any], {"type": "object"}, {"a": 1}, {"a": 1}),
    (
        dict[int, str],
        {"type": "object", "propertyNames": {"pattern": "^-?(0|[1-9][0-9]*)$"}, "additionalProperties": STRING},
        {"-3": "a"},
        {-3: "a"},
    ),
    (
        dict[uuid.UUID, Any],
        {"type": "object", "propertyNames": {"type": "string", "format": "uuid"}},
        {str(uuid.UUID(int=3)): 1},
        {uuid.UUID(int=3): 1},
    ),
    (int | None, {"anyOf": [INTEGER, NULL]}, None, None),
    (Optional[str], {"anyOf": [STRING, NULL]}, "a", "a"),  # noqa: UP045
    (int | str | None, {"anyOf": [INTEGER, STRING, NULL]}, 1.0, 1),
    (int | float, {"type": "number"}, 2, 2),
    (int | Any, {}, 2, 2),
    (Score | int, INTEGER, 2, 2),
    (list[None], {"type": "array", "items": {"type": "null"}}, [None], [None]),
    (
        list[int] | None,
        {"anyOf": [{"type": "array", "items": INTEGER}, {"type": "null"}]},
        [1],
        [1],
    ),
    (datetime.date | int, {"anyOf": [{"type": "string", "format": "date"}, INTEGER]}, 3, 3),
]


@pytest.mark.parametrize(("hint", "schema", "json", "value"), SIMPLE, ids=[str(row[0]) for row in SIMPLE])
def test_a_type_hint_has_its_schema_and_builds_its_values(
    hint: Any, schema: dict[str, Any], json: Any, value: Any
) -> None:
    assert schema_of(hint) == schema
    loaded = load(hint, json)
    if value is not None:
        assert loaded == value
        assert type(loaded) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-31T12:00:00Z", datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)),
        ("2026-01-31T12:00:00", datetime.datetime(2026, 1, 31, 12)),
        ("2026-01-31", datetime.datetime(2026, 1, 31)),
    ],
)
def test_dates_are_read_as_models_write_them(text: str, value: datetime.datetime) -> None:
    assert load(datetime.datetime, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("P1W", datetime.timedelta(weeks=1)),
        ("PT0.5S", datetime.timedelta(seconds=0.5)),
        ("PT1H30M", datetime.timedelta(hours=1, minutes=30)),
        ("+P1DT1S", datetime.timedelta(days=1, seconds=1)),
    ],
)
def test_durations_are_read_in_iso_8601(text: str, value: datetime.timedelta) -> None:
    assert load(datetime.timedelta, text) == value


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (datetime.timedelta, "P", "expected a duration"),
        (datetime.timedelta, "P1DT", "expected a duration"),
        (datetime.timedelta, "P1Y", "expected a duration"),
        (datetime.timedelta, "1 hour", "expected a duration"),
        (uuid.UUID, "x", "expected a UUID"),
        (decimal.Decimal, "many", "does not match"),
        (decimal.Decimal, "NaN", "does not match"),
        (bytes, "%", "expected base64"),
        (ipaddress.IPv4Address, "::1", "expected an IPv4 address"),
        (set[int], [1, 1], "value has non-unique elements"),
        (tuple[int, str], [1], "value has less than 2 items"),
        (tuple[int, uuid.UUID], [1, "x"], "expected a UUID @ $.p[1]"),
        (dict[int, int], {"a": 1}, "invalid property name"),
        (dict[str, datetime.date], {"a": "x"}, "expected a date such as 2026-01-31 @ $.p.a"),
        (dict[uuid.UUID, int], {"00000000000000000000000000000000": 1, str(uuid.UUID(int=0)): 2}, "the same key"),
        (int | datetime.date, "x", "expected a date"),
        (datetime.date | uuid.UUID, "x", "expected a date"),
        (int | str, [], "expected integer or string"),
    ],
)
def test_what_cannot_be_read_is_told_in_the_types_own_words(hint: Any, value: Any, words: str) -> None:
    assert words in refused(hint, value)


@pytest.mark.parametrize(
    ("hint", "json", "value"),
    [
        (datetime.date | str, "2026-01-31", datetime.date(2026, 1, 31)),
        (datetime.date | str, "tomorrow", "tomorrow"),
        (str | datetime.date, "2026-01-31", "2026-01-31"),
        (Color | str, "red", Color.RED),
        (Color | str, "pink", "pink"),
        (int | float, 1.5, 1.5),
        (float | int, 1, 1),
        (bool | int, True, True),
        (bool | int, 1, 1),
        (list[int] | list[str], ["a"], ["a"]),
        (list[datetime.date] | list[int], [1], [1]),
        (datetime.date | uuid.UUID, str(uuid.UUID(int=3)), uuid.UUID(int=3)),
        (list[datetime.date] | list[uuid.UUID], [str(uuid.UUID(int=3))], [uuid.UUID(int=3)]),
        (dict[str, int] | list[int], {"a": 1.0}, {"a": 1}),
    ],
)
def test_a_union_takes_the_first_alternative_that_fits(hint: Any, json: Any, value: Any) -> None:
    loaded = load(hint, json)
    assert loaded == value
    assert type(loaded) is type(value)


class Plain:
    value: int


class Tuples(enum.Enum):
    A = (1, 2)


class Empty(enum.Enum):
    pass


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (complex, r"tool\(\), parameter `p`: the type complex has no JSON form.*JsonSchema"),
        (Plain, "the type Plain has no JSON form"),
        (list[Plain], "parameter `p`, in its items: the type Plain"),
        (dict[str, Plain], "in its values: the type Plain"),
        (tuple[int, Plain], "in item 1: the type Plain"),
        (Callable[[], int], "has no JSON form"),
        (type[int], "has no JSON form"),
        (Unpack[tuple[int]], "has no JSON form"),
        (dict[float, int], "keys of a JSON object are strings"),
        (Tuples, "the constant <Tuples.A.* has no JSON form"),
        (Literal[b"x"], "the constant b'x' has no JSON form"),
        (Empty, "has no members"),
        (3, "the type 3 has no JSON form"),
        (list["Unknown"], "not found|not resolved"),  # type: ignore[name-defined]  # noqa: F821
    ],
)
def test_a_hint_without_a_json_form_is_an_error_that_says_what_to_do(hint: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        schema_of(hint)


def test_a_part_of_a_class_without_a_json_form_is_named() -> None:
    @dataclasses.dataclass
    class Holder:
        inner: Plain

    with pytest.raises(UsageError, match=r"parameter `p`, in `Holder.inner`: the type Plain"):
        schema_of(Holder)


@pytest.mark.parametrize(
    ("hint", "default", "published"),
    [
        (int, 3, 3),
        (Color, Color.RED, "red"),
        (datetime.date, datetime.date(2026, 1, 31), "2026-01-31"),
        (Point | None, None, None),
        (list[int], [1], [1]),
        (Any, {"a": (1,)}, {"a": [1]}),
    ],
)
def test_a_default_that_json_can_write_is_published(hint: Any, default: Any, published: Any) -> None:
    assert schema_of(hint, default=default)["default"] == published


@pytest.mark.parametrize(("hint", "default"), [(int, object()), (int, "auto"), (Any, complex(1)), (str, "\ud800")])
def test_a_default_that_would_mislead_is_left_out(hint: Any, default: Any) -> None:
    assert "default" not in schema_of(hint, default=default)


def test_the_docstring_describes_a_parameter_unless_its_hint_does() -> None:
    def tool(a: int, b: Annotated[int, "from the hint"]) -> None:
        """A tool.

        Args:
            a: from the docstring
            b: from the docstring
        """

    properties = tool_input_schema(inspect_function(tool, injected=lambda _: False)).schema["properties"]
    assert properties["a"]["description"] == "from the docstring"
    assert properties["b"]["description"] == "from the hint"


OUTPUTS: list[tuple[Any, bool]] = [
    (Point, False),
    (Node, False),
    (Movie, False),
    (Spot, False),
    (Item, False),
    (Ticket, False),
    (Page[int], False),
    (dict[str, int], False),
    (dict, False),
    (Mapping[int, str], False),
    (Named, False),
    (Point | Movie, False),
    (int, True),
    (str, True),
    (list[Point], True),
    (Point | None, True),
    (Color, True),
    (Json, True),
    (decimal.Decimal, True),
    (Annotated[int, at.Ge(1)], True),
]


@pytest.mark.parametrize(("hint", "wrapped"), OUTPUTS, ids=[str(row[0]) for row in OUTPUTS])
def test_the_root_of_an_output_schema_is_an_object_whatever_the_type(hint: Any, wrapped: bool) -> None:
    shape = tool_output_schema(hint, "f()")
    assert_valid(shape.schema)
    assert shape.schema["type"] == "object"
    assert shape.wrapped is wrapped
    assert (list(shape.schema.get("properties", {})) == ["result"]) is wrapped


def test_an_output_that_is_a_class_used_nowhere_else_needs_no_definitions() -> None:
    assert "$defs" not in tool_output_schema(Movie, "f()").schema
    assert set(tool_output_schema(IntPage, "f()").schema["$defs"]) == {"Page_int"}
