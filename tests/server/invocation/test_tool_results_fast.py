"""Results made by their annotation are what the way by the class of each value makes of them, refusals included."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
import warnings
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import orjson
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp.codec.envelope import encode_result
from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult
from trimcp.schema.dump import dump, object_to_builtins
from trimcp.schema.exact_json import NotJson
from trimcp.schema.validation import compile_schema
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.types.content import TextContent
from trimcp.types.revisions import REVISIONS
from trimcp.types.tools import CallToolResult

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    DEEP = 3


class Suit(enum.StrEnum):
    HEARTS = "h"


class Word(str):
    pass


class Ratio(float):
    pass


@dataclasses.dataclass
class Place:
    city: str
    lat: float
    _cache: Any = None


@dataclasses.dataclass
class Item:
    id: int
    place: Place
    tags: list[str]
    note: str | None = None
    kind: str = dataclasses.field(default="item", init=False)


@dataclasses.dataclass
class Bigger(Item):
    more: int = 1


@dataclasses.dataclass(slots=True)
class Slotted:
    at: datetime.datetime
    day: datetime.date | None
    price: decimal.Decimal
    data: bytes
    took: datetime.timedelta
    key: uuid.UUID
    path: pathlib.Path
    address: IPv4Address


@attrs.define
class Cart:
    items: list[Item]
    by_name: dict[str, Place]
    color: Color | Suit = Color.RED
    _secret: int = 0


class Movie(TypedDict):
    title: str
    spot: NotRequired[Place]
    extra: Any


class Spot(NamedTuple):
    x: int
    place: Place | None = None


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    after: Page[T] | None = None


@dataclasses.dataclass
class Node:
    name: str
    children: list[Node]


class Thing(pydantic.BaseModel):
    size: int = pydantic.Field(gt=0)
    name: str = pydantic.Field("x", serialization_alias="the name")
    parts: list[Thing] = []
    hidden: int = pydantic.Field(0, exclude=True)


class Simple(pydantic.BaseModel):
    size: int = pydantic.Field(gt=0)
    name: str = pydantic.Field("x", alias="the'name")
    note: str | None = None
    parts: list[Simple] = []
    named: dict[str, Simple] = {}
    kind: Literal["a", "b"] = "a"
    either: int | Simple | None = None


class Larger(Simple):
    more: int = 1


class Dated(pydantic.BaseModel):
    at: datetime.datetime = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    day: datetime.date | None = None
    noon: datetime.time = datetime.time(12)
    took: datetime.timedelta = datetime.timedelta(hours=1)
    price: decimal.Decimal = decimal.Decimal("1.50")
    key: uuid.UUID = uuid.UUID(int=3)
    color: Color = Color.RED
    suits: set[Suit] = {Suit.HEARTS}


class Special(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    made: datetime.datetime = datetime.datetime(2026, 1, 31)
    price: decimal.Decimal = decimal.Decimal("1.5")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> decimal.Decimal:
        return self.price * 2

    @pydantic.field_serializer("price")
    def _price(self, price: decimal.Decimal) -> str:
        return f"{price} CHF"


class Ticket(msgspec.Struct, rename="camel"):
    seat_no: int
    made: datetime.datetime
    place: Place


WRONG = st.sampled_from(
    [
        None,
        True,
        3,
        1.0,
        2**64,
        float("nan"),
        float("inf"),
        "text",
        "wärm ☀",
        "\ud800",
        "x" * 600,
        b"bytes",
        (1, "a"),
        [1, None],
        {1},
        {"a": [float("nan")]},
        {1: 2},
        {Suit.HEARTS: 1},
        Color.RED,
        Suit.HEARTS,
        Word("w"),
        Ratio(0.5),
        object(),
        datetime.date(2026, 1, 31),
        Place("Bern", 46.9),
        Spot(1),
        collections.OrderedDict(a=1),
        collections.deque([1]),
    ]
)


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nine of ten values as they should be."""
    return st.integers(0, 9).flatmap(lambda number: right if number else WRONG)


INTEGERS = mostly(st.integers(-(2**63), 2**64 - 1))
NUMBERS = mostly(st.floats(allow_nan=False, allow_infinity=False))
WORDS = mostly(st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.just("long " * 200))
PLACES = mostly(st.builds(Place, WORDS, NUMBERS))
ITEMS = mostly(
    st.builds(Item, INTEGERS, PLACES, mostly(st.lists(WORDS, max_size=3)), st.none() | WORDS)
    | st.builds(Bigger, INTEGERS, PLACES, st.just([]))
)
TIMES = st.datetimes(timezones=st.none() | st.just(datetime.UTC))
SLOTTED = st.builds(
    Slotted,
    mostly(TIMES),
    mostly(st.none() | st.dates()),
    mostly(st.decimals()),
    mostly(st.binary(max_size=5)),
    mostly(st.timedeltas()),
    mostly(st.uuids()),
    mostly(st.just(pathlib.Path("/a/b"))),
    mostly(st.just(IPv4Address("192.0.2.1"))),
)
CARTS = st.builds(
    Cart,
    mostly(st.lists(ITEMS, max_size=4)),
    mostly(st.dictionaries(st.text(max_size=2), PLACES, max_size=2)),
    mostly(st.sampled_from([Color.RED, Color.DEEP, Suit.HEARTS])),
)
MOVIES = mostly(
    st.fixed_dictionaries({"title": WORDS, "extra": WRONG | st.integers()}, optional={"spot": PLACES, "other": WRONG})
)
SPOTS = mostly(st.builds(Spot, INTEGERS, st.none() | PLACES))
NODES = st.recursive(
    mostly(st.builds(Node, WORDS, st.just([]))),
    lambda inner: st.builds(Node, WORDS, mostly(st.lists(inner, max_size=2))),
    max_leaves=6,
)


def constructed(cls: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Models that were not checked when they were made."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: cls.model_construct(**{"size": 1, **given}))


SIMPLE = mostly(
    st.recursive(
        constructed(Simple, size=INTEGERS, name=WORDS, note=st.none() | WORDS, kind=mostly(st.just("b")))
        | constructed(Larger, more=INTEGERS),
        lambda inner: constructed(
            Simple,
            parts=mostly(st.lists(inner, max_size=2)),
            named=mostly(st.dictionaries(st.text(max_size=2), inner, max_size=2)),
            either=mostly(inner),
        ),
        max_leaves=4,
    )
)
DATED = mostly(
    constructed(
        Dated,
        at=mostly(TIMES),
        day=mostly(st.none() | st.dates()),
        noon=mostly(st.times()),
        took=mostly(st.timedeltas()),
        price=mostly(st.decimals()),
        key=mostly(st.uuids()),
        color=mostly(st.sampled_from(Color)),
        suits=mostly(st.just({Suit.HEARTS})),
    )
)
SPECIAL = mostly(st.builds(Special) | st.builds(Special, made=TIMES, more=st.integers()))
TICKETS = mostly(st.builds(Ticket, INTEGERS, TIMES, PLACES))

VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, WORDS),
    (int, INTEGERS),
    (float, NUMBERS),
    (float | None, st.none() | NUMBERS),
    (Item, ITEMS),
    (list[Item], mostly(st.lists(ITEMS, max_size=4))),
    (Item | Place | list[Place] | int, ITEMS | PLACES | st.lists(PLACES, max_size=3) | INTEGERS),
    (Slotted, SLOTTED),
    (Cart, CARTS),
    (Movie, MOVIES),
    (dict[str, Movie], mostly(st.dictionaries(st.text(max_size=2), MOVIES, max_size=2))),
    (Spot, SPOTS),
    (tuple[int, Place], mostly(st.tuples(INTEGERS, PLACES))),
    (tuple[Spot, ...], mostly(st.lists(SPOTS, max_size=3).map(tuple))),
    (set[str], mostly(st.sets(WORDS.filter(lambda value: isinstance(value, str)), max_size=3))),
    (frozenset[Any], st.sampled_from([frozenset({None, float("nan")}), frozenset({1, 1.5}), frozenset({b"a"})])),
    (collections.deque[Place], st.lists(PLACES, max_size=2).map(collections.deque)),
    (dict[str, Any], mostly(st.dictionaries(st.text(max_size=2), WRONG, max_size=2))),
    (list[Any], mostly(st.lists(WRONG, max_size=3))),
    (Color, mostly(st.sampled_from(Color))),
    (Page[Place], mostly(st.builds(Page, st.lists(PLACES, max_size=2), st.none()))),
    (Node, NODES),
    (list[Thing], st.lists(mostly(constructed(Thing, size=INTEGERS, name=WORDS)), max_size=3)),
    (list[Simple], mostly(st.lists(SIMPLE, max_size=3))),
    (Simple, SIMPLE),
    (list[Dated], mostly(st.lists(DATED, max_size=2))),
    (list[Special], mostly(st.lists(SPECIAL, max_size=2))),
    (list[Ticket], mostly(st.lists(TICKETS, max_size=2))),
]


def expected(made: ToolResultConverter, value: Any) -> Any:
    """The text and the structured content that are right, or the problems."""
    try:
        encoded = dump(value)
    except NotJson as error:
        return [f"forecast() returned a value that cannot be sent: {error}"]
    data = json.loads(encoded)
    structured = {"result": data} if made.wrapped else data
    validator = compile_schema(made._validator.schema)
    if not validator.is_valid(structured):
        return validator.problems(structured)
    return (data if type(data) is str else encoded.decode()), structured


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic says that models were made without a check
        yield


@pytest.mark.parametrize(("annotation", "values"), VALUES, ids=[str(annotation) for annotation, _ in VALUES])
def test_a_result_is_that_of_the_long_way(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    made = ToolResultConverter(annotation, owner="forecast()")

    @settings(max_examples=60, deadline=None)
    @given(values)
    def check(value: Any) -> None:
        right = expected(made, value)
        if isinstance(right, list):
            with pytest.raises(InvalidResult) as caught:
                made.convert(value)
            problems = caught.value.problems
            assert problems == right or problems[1:] == right
            return
        text, structured = right
        for revision in REVISIONS:
            wire = wire_of(made.convert(value), revision)
            (block,) = wire["content"]
            assert block["type"] == "text"
            assert block["text"] == text or json.loads(block["text"]) == json.loads(text)  # 3 for 3.0
            assert wire.get("structuredContent", structured) == structured
            assert ("structuredContent" in wire) is (revision.version >= "2025-06-18")
        assert made.convert(value) == CallToolResult([TextContent(block["text"])], structured)

    check()


def wire_of(result: CallToolResult, revision: Any) -> Any:
    frame = encode_result(1, codec_for(revision).result_encoder("tools/call")(result))
    return loads(frame)["result"]  # orjson alone makes floats of long integers


@pytest.mark.parametrize("levels", [100, 120, 124, 125, 126, 127, 128, 200, 254, 255, 400, 2000])
def test_what_is_nested_too_deep_for_an_answer_is_refused(levels: int) -> None:
    node: Any = None
    nested: Any = 1
    for _ in range(levels):
        nested = [nested]
    for _ in range(levels // 2):
        node = Node("n", [] if node is None else [node])
    for annotation, value in ((list[Any], nested), (Node, node), (dict[str, Any], {"a": nested})):
        made = ToolResultConverter(annotation, owner="forecast()")
        right = expected(made, value)
        fits = not isinstance(right, list)
        if not isinstance(right, list):
            try:
                wire = wire_of(CallToolResult([TextContent(right[0])], right[1]), REVISIONS[-1])
                loads(dumps({"jsonrpc": "2.0", "id": 1, "result": wire}))
            except (InvalidPayload, InvalidJson):
                fits = False
        if fits:
            assert wire_of(made.convert(value), REVISIONS[-1]) == wire
        else:
            with pytest.raises(InvalidResult):
                made.convert(value)


def test_a_null_in_the_text_is_checked_where_a_schema_minds_it() -> None:
    not_null = {"type": "object", "properties": {"a": {"not": {"type": "null"}}}}
    made = ToolResultConverter(dict[str, Any], owner="forecast()", schema=not_null)
    with pytest.raises(InvalidResult):
        made.convert({"a": float("nan")})
    assert made.convert({"a": 1, "b": None}).structured_content == {"a": 1, "b": None}


class Rows(pydantic.BaseModel):
    rows: Any


def test_an_iterator_inside_is_read_once_whatever_comes_of_it() -> None:
    assert ToolResultConverter(Rows, owner="forecast()").convert(Rows(rows=iter([1, 2]))).structured_content == {
        "rows": [1, 2]
    }

    class Numbers(pydantic.BaseModel):
        rows: list[int]
        at: datetime.date | None = None

    made = ToolResultConverter(Numbers, owner="forecast()")
    with pytest.raises(InvalidResult, match=r"expected integer @ \$\.rows\[1\]"):
        made.convert(Numbers.model_construct(rows=iter([1, "a"])))
    with pytest.raises(InvalidResult, match=r"cannot be sent.*not JSON serializable: Numbers"):
        made.convert(Numbers.model_construct(rows=iter([object(), 1])))
    several = ToolResultConverter(list[Numbers], owner="forecast()")
    assert several.convert([Numbers.model_construct(rows=iter([1])), Numbers(rows=[])]).structured_content == {
        "result": [{"rows": [1], "at": None}, {"rows": [], "at": None}]
    }


class Serialized(pydantic.BaseModel):
    a: int = 1

    @pydantic.field_serializer("a")
    def _a(self, a: int) -> str:
        return f"<{a}>"


class Validated(pydantic.BaseModel):
    a: int = 1
    place: Simple = Simple(size=3)

    @pydantic.field_validator("a")
    @classmethod
    def _a(cls, a: int) -> int:
        return a + 1

    @pydantic.model_validator(mode="after")
    def _all(self) -> Validated:
        return self

    @pydantic.model_validator(mode="before")
    @classmethod
    def _raw(cls, raw: Any) -> Any:
        return raw


class Numbered(pydantic.BaseModel):
    by_number: dict[int, str] = {1: "a"}


class Root(pydantic.RootModel[list[int]]):
    root: list[int] = [1]


class Open(pydantic.BaseModel, extra="allow"):
    a: int = 1


class Infinite(pydantic.BaseModel, ser_json_inf_nan="strings"):
    a: float = float("inf")


class Computed(pydantic.BaseModel):
    a: int = 1

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def more(self) -> int:
        return self.a + 1


class AnythingDated(pydantic.BaseModel):
    at: datetime.date = datetime.date(2026, 1, 31)
    any: Any = None


class WithDefaultField(pydantic.BaseModel):
    at: datetime.date = datetime.date(2026, 1, 31)
    default: Any = None


class Bare(pydantic.BaseModel):
    anything: list = [1]  # type: ignore[type-arg]
    named: dict = {"a": 1}  # type: ignore[type-arg]


@pydantic.dataclasses.dataclass
class Plainer:
    a: int = 1
    at: datetime.date = datetime.date(2026, 1, 31)


@pytest.mark.parametrize(
    "value",
    [
        Serialized(),
        Validated(),
        Numbered(),
        Root(),
        Open(a=1, b=2),  # type: ignore[call-arg]
        Infinite(),
        Computed(),
        AnythingDated(any=b"bytes"),
        AnythingDated(any=iter([1])),
        WithDefaultField(default=iter([1])),
        Bare(),
        Bare(anything=[datetime.date(2026, 1, 31)]),
        Plainer(),
        Simple.model_construct(parts=[Larger(size=1)]),
        Simple.model_construct(note=datetime.date(2026, 1, 31)),
    ],
    ids=repr,
)
def test_what_pydantic_does_to_a_model_is_done(value: Any) -> None:
    made = ToolResultConverter(type(value), owner="forecast()")
    several = ToolResultConverter(list[type(value)], owner="forecast()")  # type: ignore[misc]
    if "iterator" in repr(value):
        name = "any" if isinstance(value, AnythingDated) else "default"
        assert made.convert(value).structured_content == {"at": "2026-01-31", name: [1]}
        return
    right = expected(made, value)
    if isinstance(right, list):
        with pytest.raises(InvalidResult):
            made.convert(value)
        with pytest.raises(InvalidResult):
            several.convert([value] * 3)
        return
    assert made.convert(value) == CallToolResult([TextContent(right[0])], right[1])
    assert several.convert([value] * 30) == CallToolResult(
        [TextContent(f"[{','.join([dump(value).decode()] * 30)}]")], {"result": [orjson.loads(dump(value))] * 30}
    )


def test_no_attribute_is_read_by_a_name_that_is_no_identifier() -> None:
    assert object_to_builtins(Place, {"city": None, "a b": None}) is None
    assert object_to_builtins(Place, {"class": None}) is None


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000,
        "ä" * 10_000,
        'a "quoted" line\\\n' * 1_000,
        "x" * 10_000 + '"\n',
        "ä",
        "x" * 10_000 + "\0☀",
    ],
    ids=["plain", "not ASCII", "escaped", "escaped at the end", "short", "control"],
)
def test_a_long_string_is_written_as_it_is(value: str) -> None:
    for annotation in (str, str | None):
        result = ToolResultConverter(annotation, owner="forecast()").convert(value)
        right = CallToolResult([TextContent(value)], {"result": value})
        assert result == right
        for revision in REVISIONS:
            assert wire_of(result, revision) == wire_of(right, revision)


def test_a_long_string_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidResult, match=r"cannot be sent.*surrogates"):
        ToolResultConverter(str, owner="forecast()").convert("x" * 10_000 + "\ud800")
