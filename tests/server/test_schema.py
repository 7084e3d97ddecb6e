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
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
)

import annotated_types as at
import attrs
import jsonschema_rs
import msgspec
import pydantic
import pytest
import typing_extensions

from trimcp.errors import UsageError
from trimcp.server.arguments import ArgumentBinder, InvalidArguments
from trimcp.server.schema import JsonSchema, input_shape, output_shape
from trimcp.server.signature import ToolSignature, inspect_function


def signature_of(hint: Any, **default: Any) -> ToolSignature:
    def tool(*, p: Any) -> None: ...

    if default:
        tool.__kwdefaults__ = {"p": default["default"]}
    tool.__annotations__["p"] = hint
    return inspect_function(tool, injected=lambda _: False)


def schema_of(hint: Any, **default: Any) -> dict[str, Any]:
    """The schema of one parameter with this hint; its definitions under `$defs`."""
    whole = input_shape(signature_of(hint, **default)).schema
    assert_valid(whole)
    schema: dict[str, Any] = whole["properties"]["p"]
    return {**schema, "$defs": whole["$defs"]} if "$defs" in whole else schema


def load(hint: Any, value: Any) -> Any:
    return ArgumentBinder(signature_of(hint)).bind({"p": value})["p"]


def refused(hint: Any, value: Any) -> str:
    with pytest.raises(InvalidArguments) as caught:
        load(hint, value)
    return str(caught.value)


def assert_valid(schema: Any) -> None:
    jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"}).validate(schema)


class Color(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Suit(enum.StrEnum):
    HEARTS = "h"


class UserId(str):
    __slots__ = ()


Score = NewType("Score", int)
Named = typing_extensions.TypeAliasType("Named", dict[str, int])
Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | list[Json] | str | None")  # type: ignore[misc]
STRING = {"type": "string"}
INTEGER = {"type": "integer"}

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
    (Literal["a", 1, None, True], {"enum": ["a", 1, None]}, None, None),
    (Literal[Level.LOW], {"type": "integer", "enum": [1]}, 1, Level.LOW),
    (Score, INTEGER, 3, 3),
    (UserId, STRING, "u", UserId("u")),
    (Final[int], INTEGER, 3, 3),
    (datetime.datetime, {"type": "string", "format": "date-time"}, "2026-01-31T12:00:00+01:00", None),
    (datetime.date, {"type": "string", "format": "date"}, "2026-01-31", datetime.date(2026, 1, 31)),
    (datetime.time, {"type": "string", "format": "time"}, "12:30", datetime.time(12, 30)),
    (datetime.timedelta, {"type": "string", "format": "duration"}, "-P1DT2M", -datetime.timedelta(days=1, minutes=2)),
    (uuid.UUID, {"type": "string", "format": "uuid"}, str(uuid.UUID(int=3)), uuid.UUID(int=3)),
    (decimal.Decimal, {"type": ["string", "number"], "format": "decimal"}, "1.10", decimal.Decimal("1.10")),
    (decimal.Decimal, {"type": ["string", "number"], "format": "decimal"}, 0.1, decimal.Decimal("0.1")),
    (bytes, {"type": "string", "contentEncoding": "base64"}, "YQ==", b"a"),
    (bytearray, {"type": "string", "contentEncoding": "base64"}, "YQ==", bytearray(b"a")),
    (pathlib.Path, {"type": "string", "format": "path"}, "/a/b", pathlib.Path("/a/b")),
    (pathlib.PurePosixPath, {"type": "string", "format": "path"}, "a", pathlib.PurePosixPath("a")),
    (ipaddress.IPv4Address, {"type": "string", "format": "ipv4"}, "192.0.2.1", ipaddress.IPv4Address("192.0.2.1")),
    (ipaddress.IPv6Address, {"type": "string", "format": "ipv6"}, "::1", ipaddress.IPv6Address("::1")),
    (list[int], {"type": "array", "items": INTEGER}, [1], [1]),
    (list, {"type": "array"}, [1, "a"], [1, "a"]),
    (Sequence[str], {"type": "array", "items": STRING}, ["a"], ["a"]),
    (Iterable[int], {"type": "array", "items": INTEGER}, [1], [1]),
    (set[int], {"type": "array", "items": INTEGER, "uniqueItems": True}, [1, 2], {1, 2}),
    (frozenset[str], {"type": "array", "items": STRING, "uniqueItems": True}, ["a"], frozenset("a")),
    (Set[str], {"type": "array", "items": STRING, "uniqueItems": True}, ["a"], frozenset("a")),
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
    (int | None, {"type": ["integer", "null"]}, None, None),
    (Optional[str], {"type": ["string", "null"]}, "a", "a"),  # noqa: UP045
    (int | str | None, {"type": ["integer", "string", "null"]}, 1.0, 1),
    (int | float, {"type": "number"}, 2, 2),
    (int | Any, {}, 2, 2),
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
        (decimal.Decimal, "many", "expected a decimal number"),
        (decimal.Decimal, "NaN", "expected a decimal number"),
        (bytes, "%", "expected base64"),
        (ipaddress.IPv4Address, "::1", "expected an IPv4 address"),
        (set[int], [1, 1], "items must be different"),
        (tuple[int, str], [1], "must have at least 2 items"),
        (tuple[int, uuid.UUID], [1, "x"], "expected a UUID @ $.p[1]"),
        (dict[int, int], {"a": 1}, "a property's name is refused"),
        (dict[str, datetime.date], {"a": "x"}, "expected a date such as 2026-01-31 @ $.p.a"),
        (dict[uuid.UUID, int], {"00000000000000000000000000000000": 1, str(uuid.UUID(int=0)): 2}, "the same name"),
        (int | datetime.date, "x", "expected a date"),
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
        (dict[str, int] | list[int], {"a": 1.0}, {"a": 1}),
    ],
)
def test_a_union_takes_the_first_alternative_that_fits(hint: Any, json: Any, value: Any) -> None:
    loaded = load(hint, json)
    assert loaded == value
    assert type(loaded) is type(value)


@dataclasses.dataclass
class Point:
    """A point in the plane.

    Attributes:
        x: To the right.
    """

    x: int
    y: Annotated[int, "Upwards", at.Ge(0)] = 0
    tags: list[str] = dataclasses.field(default_factory=list, metadata={"description": "Names"})
    hidden: int = dataclasses.field(default=3, init=False)
    count: ClassVar[int] = 0
    extra: dataclasses.InitVar[str | None] = None

    def __post_init__(self, extra: str | None) -> None: ...


POINT_IN = {
    "type": "object",
    "description": "A point in the plane.",
    "properties": {
        "x": {"type": "integer", "description": "To the right."},
        "y": {"type": "integer", "description": "Upwards", "minimum": 0, "default": 0},
        "tags": {"type": "array", "items": STRING, "description": "Names"},
        "extra": {"type": ["string", "null"], "default": None},
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
    assert schema_of(Point) == {"$ref": "#/$defs/Point", "$defs": {"Point": POINT_IN}}
    assert load(Point, {"x": 1, "tags": ["a"], "extra": "e"}) == Point(1, 0, ["a"])


def test_as_a_result_a_dataclass_has_all_its_attributes() -> None:
    shape = output_shape(Point, "f()")
    assert_valid(shape.schema)
    assert shape.schema == POINT_OUT
    assert not shape.wrapped


@attrs.define
class Node:
    name: str
    children: list[Node] = attrs.Factory(list)
    _secret: int = 0
    derived: int = attrs.field(init=False, default=1)


def test_an_attrs_class_may_contain_itself() -> None:
    schema = schema_of(Node)
    assert schema["$ref"] == "#/$defs/Node"
    assert schema["$defs"]["Node"]["properties"] == {
        "name": STRING,
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "secret": {"type": "integer", "default": 0},
    }
    assert load(Node, {"name": "a", "children": [{"name": "b", "secret": 2}]}) == Node("a", [Node("b", [], 2)])
    out = output_shape(Node, "f()").schema
    assert set(out["properties"]) == {"name", "children", "derived"}
    assert out["type"] == "object"
    assert out["$defs"]["Node"]["required"] == ["name", "children", "derived"]


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Sequel(Movie, total=False):
    part: Required[Annotated[int, at.Ge(2)]]
    released: datetime.date


class Spot(NamedTuple):
    x: int
    when: datetime.date | None = None


def test_a_typed_dict_knows_what_is_required_though_its_hints_are_strings() -> None:
    (definition,) = schema_of(Sequel)["$defs"].values()
    assert definition["required"] == ["title", "part"]
    assert definition["properties"]["part"] == {"type": "integer", "minimum": 2}
    assert load(Sequel, {"title": "a", "part": 2, "released": "2026-01-31"}) == {
        "title": "a",
        "part": 2,
        "released": datetime.date(2026, 1, 31),
    }
    assert output_shape(Movie, "f()").schema["required"] == ["title"]


def test_a_named_tuple_is_an_object_with_names() -> None:
    (definition,) = schema_of(Spot)["$defs"].values()
    assert set(definition["properties"]) == {"x", "when"}
    assert definition["required"] == ["x"]
    assert load(Spot, {"x": 1, "when": "2026-01-31"}) == Spot(1, datetime.date(2026, 1, 31))


def test_enumerations_are_given_by_value() -> None:
    assert schema_of(Color)["$defs"]["Color"] == {
        "type": "string",
        "enum": ["red", "blue"],
        "description": "A colour.",
    }
    assert load(Color, "red") is Color.RED
    assert load(Level, 2.0) is Level.HIGH
    assert load(Suit, "h") is Suit.HEARTS
    assert load(dict[Color, int], {"red": 1}) == {Color.RED: 1}
    assert refused(Level, 3) == "expected one of 1, 2 @ $.p"


T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
Either = TypeVar("Either", int, str)


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    after: Page[T] | None = None


@dataclasses.dataclass
class IntPage(Page[int]):
    total: int = 0


def test_generic_classes_have_a_definition_for_each_use() -> None:
    schema = schema_of(dict[str, Page[int] | Page[datetime.date]])
    assert set(schema["$defs"]) == {"Page_int", "Page_date"}
    loaded = load(dict[str, Page[int] | Page[datetime.date]], {"a": {"items": ["2026-01-31"]}})
    assert loaded == {"a": Page([datetime.date(2026, 1, 31)])}
    assert load(IntPage, {"items": [1.0], "after": {"items": [2]}, "total": 1}) == IntPage([1], Page([2]), 1)
    assert load(Page, {"items": ["x", 1]}) == Page(["x", 1])


def test_type_variables_and_aliases_stand_for_their_types() -> None:
    assert schema_of(list[Bound]) == {"type": "array", "items": INTEGER}
    assert schema_of(Either) == {"type": ["integer", "string"]}
    assert schema_of(Named)["$defs"]["Named"] == {"type": "object", "additionalProperties": INTEGER}
    assert load(Named, {"a": 1.0}) == {"a": 1}


def test_a_generic_alias_is_given_its_types() -> None:
    pair = typing_extensions.TypeAliasType("pair", tuple[T, T], type_params=(T,))  # type: ignore[valid-type]
    assert load(pair[int], [1.0, 2]) == (1, 2)


def test_an_alias_that_cannot_be_resolved_is_an_error_of_usage() -> None:
    lost = typing_extensions.TypeAliasType("lost", "list[Nowhere]")  # type: ignore[misc, name-defined]
    with pytest.raises(UsageError, match="the alias lost needs the name `Nowhere`"):
        schema_of(lost)


def test_a_recursive_alias_describes_json_itself() -> None:
    value = {"a": [{"b": None}, "c"]}
    assert load(Json, value) == value
    assert "$.p" in refused(Json, {"a": 3})


def test_two_classes_of_one_name_get_two_definitions() -> None:
    def other() -> type:
        @dataclasses.dataclass
        class Point:
            z: str

        return Point

    schema = schema_of(tuple[Point, other()])  # type: ignore[misc]
    assert set(schema["$defs"]) == {"Point", "Point_2"}
    assert schema["prefixItems"] == [{"$ref": "#/$defs/Point"}, {"$ref": "#/$defs/Point_2"}]


def test_classes_local_to_a_function_may_refer_to_each_other() -> None:
    @dataclasses.dataclass
    class Leaf:
        value: int

    @dataclasses.dataclass
    class Branch:
        leaves: list[Leaf]
        branches: list[Branch] = dataclasses.field(default_factory=list)

    assert load(Branch, {"leaves": [{"value": 1}], "branches": [{"leaves": []}]}) == Branch([Leaf(1)], [Branch([])])


class TestConstraints:
    """Bounds and descriptions in `Annotated`."""

    @pytest.mark.parametrize(
        ("hint", "schema"),
        [
            (Annotated[int, at.Ge(1), at.Le(9)], {"type": "integer", "minimum": 1, "maximum": 9}),
            (
                Annotated[float, at.Interval(gt=0, lt=1.5)],
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5},
            ),
            (Annotated[int, at.MultipleOf(5)], {"type": "integer", "multipleOf": 5}),
            (Annotated[str, at.Len(1, 3)], {"type": "string", "minLength": 1, "maxLength": 3}),
            (Annotated[list[int], at.MinLen(1)], {"type": "array", "items": INTEGER, "minItems": 1}),
            (Annotated[dict[str, Any], at.MaxLen(2)], {"type": "object", "maxProperties": 2}),
            (Annotated[int | None, at.Ge(1)], {"type": ["integer", "null"], "minimum": 1}),
            (Annotated[str, msgspec.Meta(pattern="^a", max_length=3)], {"type": "string", "pattern": "^a", "maxLength": 3}),
            (
                Annotated[int, msgspec.Meta(ge=1, title="T", description="d", examples=[1], extra_json_schema={"x-a": 1})],
                {"type": "integer", "minimum": 1, "title": "T", "description": "d", "examples": [1], "x-a": 1},
            ),
            (Annotated[int, "how  many\n of them"], {"type": "integer", "description": "how many of them"}),
            (Annotated[int, typing_extensions.Doc("how many")], {"type": "integer", "description": "how many"}),
            (
                Annotated[str, pydantic.Field(pattern="^a", min_length=1, description="d", json_schema_extra={"x-a": 1})],
                {"type": "string", "minLength": 1, "pattern": "^a", "description": "d", "x-a": 1},
            ),
            (Annotated[float, at.Ge(float("-inf"))], {"type": "number"}),
            (Annotated[int, {"unknown": 1}, 3, at.Unit("m")], INTEGER),
            (Annotated[int, JsonSchema({"enum": [1]})], {"enum": [1]}),
            (list[Annotated[int, at.Ge(1)]], {"type": "array", "items": {"type": "integer", "minimum": 1}}),
        ],
    )
    def test_they_are_keywords_of_the_schema(self, hint: Any, schema: dict[str, Any]) -> None:
        assert schema_of(hint) == schema

    @pytest.mark.parametrize(
        ("hint", "good", "bad", "words"),
        [
            (Annotated[decimal.Decimal, at.Gt(0)], "0.1", "-1", "must be > 0 @ $.p"),
            (Annotated[decimal.Decimal | None, at.Gt(0)], None, -1, "must be > 0 @ $.p"),
            (Annotated[datetime.date, at.Ge(datetime.date(2026, 1, 1))], "2026-01-31", "2025-01-31", "must be >= 2026"),
            (Annotated[datetime.datetime, at.Ge(datetime.datetime(2026, 1, 1))], "2026-02-01", "2026-02-01T00:00Z", ">="),
            (Annotated[bytes, at.Len(1, 2)], "YQ==", "YWFh", "must have a length of at most 2"),
            (Annotated[bytes, at.MinLen(1)], "YQ==", "", "must have a length of at least 1"),
            (Annotated[int, at.Predicate(lambda n: n % 2 == 0)], 2, 3, "must satisfy"),
            (Annotated[str, at.Predicate(str.islower)], "a", "A", "must satisfy islower @ $.p"),
            (list[Annotated[str, at.Predicate(str.islower)]], ["a"], ["a", "A"], "must satisfy islower @ $.p[1]"),
        ],
    )
    def test_where_the_schema_cannot_say_it_the_value_is_checked(
        self, hint: Any, good: Any, bad: Any, words: str
    ) -> None:
        load(hint, good)
        assert words in refused(hint, bad)

    def test_what_only_pydantic_can_honour_is_left_to_pydantic(self) -> None:
        hint = Annotated[str, pydantic.StringConstraints(to_upper=True, min_length=2)]
        assert schema_of(hint) == {"type": "string", "minLength": 2}
        assert load(hint, "ab") == "AB"
        doubled = Annotated[int, pydantic.AfterValidator(lambda n: n * 2)]
        assert load(list[doubled], [1, 2]) == [2, 4]  # type: ignore[valid-type]


class Item(pydantic.BaseModel):
    """A thing."""

    size: int = pydantic.Field(gt=0)
    made: datetime.date | None = None
    parts: list[Item] = []
    code: str = pydantic.Field(alias="itemCode", default="x")


class Ticket(msgspec.Struct, rename="camel"):
    seat_no: int
    spot: Spot | None = None


@dataclasses.dataclass
class Mixed:
    item: Item
    ticket: Ticket | None = None


class TestForeign:
    """Classes of pydantic and msgspec."""

    def test_a_pydantic_model_describes_itself(self) -> None:
        schema = schema_of(Item)
        assert schema["$ref"] == "#/$defs/Item"
        definition = schema["$defs"]["Item"]
        assert definition["description"] == "A thing."
        assert definition["properties"]["size"] == {"type": "integer", "exclusiveMinimum": 0}
        assert "itemCode" in definition["properties"]
        loaded = load(Item, {"size": 1, "made": "2026-01-31", "parts": [{"size": 2}], "itemCode": "c"})
        assert loaded == Item(size=1, made=datetime.date(2026, 1, 31), parts=[Item(size=2)], itemCode="c")

    def test_models_and_structs_stand_inside_other_classes(self) -> None:
        schema = schema_of(list[Mixed] | Item)
        assert {"Mixed", "Item", "Ticket"} <= set(schema["$defs"])
        loaded = load(list[Mixed] | Item, [{"item": {"size": 1}, "ticket": {"seatNo": 3}}])
        assert loaded == [Mixed(Item(size=1), Ticket(3))]
        assert load(list[Mixed] | Item, {"size": 1}) == Item(size=1)

    def test_definitions_of_the_same_name_are_kept_apart(self) -> None:
        def other() -> Any:
            class Item(pydantic.BaseModel):
                """Another thing."""

                child: Item | None = None
                name: str

            return Item

        schema = schema_of(tuple[Item, other()])  # type: ignore[misc]
        assert set(schema["$defs"]) == {"Item", "Item_2"}
        assert schema["$defs"]["Item_2"]["properties"]["child"]["anyOf"][0] == {"$ref": "#/$defs/Item_2"}
        assert schema["$defs"]["Item"]["properties"]["parts"]["items"] == {"$ref": "#/$defs/Item"}

    def test_strict_models_take_dates_from_their_json(self) -> None:
        class Strict(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(strict=True)
            day: datetime.date

        assert load(Strict, {"day": "2026-01-31"}) == Strict(day=datetime.date(2026, 1, 31))
        assert "$.p.day" in refused(Strict, {"day": "x"})

    def test_a_pydantic_dataclass_and_a_pydantic_type_are_pydantics(self) -> None:
        @pydantic.dataclasses.dataclass
        class Data:
            n: int

        assert load(Data, {"n": 1}) == Data(1)
        assert schema_of(pydantic.AnyUrl) == {"type": "string", "format": "uri", "minLength": 1}
        assert str(load(pydantic.AnyUrl, "http://a.example")) == "http://a.example/"

    def test_a_struct_is_refused_with_its_place(self) -> None:
        assert "expected integer @ $.p.seatNo" in refused(Ticket, {"seatNo": "x"})

    def test_a_model_that_has_no_schema_is_an_error_of_usage(self) -> None:
        class Odd(pydantic.BaseModel):
            f: Callable[[], int]

        with pytest.raises(UsageError, match="pydantic cannot make a schema"):
            schema_of(Odd)

    def test_a_struct_that_has_no_schema_is_an_error_of_usage(self) -> None:
        class OddStruct(msgspec.Struct):
            f: complex

        with pytest.raises(UsageError, match="msgspec cannot make a schema"):
            schema_of(OddStruct)


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
        (dict[float, int], "keys of a JSON object are strings"),
        (Tuples, "the constant <Tuples.A.* has no JSON form"),
        (Literal[b"x"], "the constant b'x' has no JSON form"),
        (Empty, "without members"),
        (3, "the type 3 has no JSON form"),
        (list["Unknown"], "not be found|not resolved"),  # type: ignore[name-defined]  # noqa: F821
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

    properties = input_shape(inspect_function(tool, injected=lambda _: False)).schema["properties"]
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
    shape = output_shape(hint, "f()")
    assert_valid(shape.schema)
    assert shape.schema["type"] == "object"
    assert shape.wrapped is wrapped
    assert (list(shape.schema.get("properties", {})) == ["result"]) is wrapped


def test_an_output_that_is_a_class_used_nowhere_else_needs_no_definitions() -> None:
    assert "$defs" not in output_shape(Movie, "f()").schema
    assert set(output_shape(IntPage, "f()").schema["$defs"]) == {"Page_int"}
