"""Compiled loaders build what the loaders with a loop build, and refuse what those refuse, in the same words."""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.invocation.shaping import signature_of
from trimcp.errors import InvalidResult
from trimcp.schema import classes
from trimcp.schema import third_party as foreign
from trimcp.schema.builder import _make_value_loader
from trimcp.schema.classes import compiled_loader
from trimcp.schema.scalars import as_float, as_int
from trimcp.server.invocation.tool_arguments import ArgumentBinder, InvalidArguments

T = TypeVar("T")


@dataclasses.dataclass
class Place:
    lat: float
    lon: float = 0.0

    def __post_init__(self) -> None:
        if self.lat > 90:
            raise ValueError("beyond the pole")


@dataclasses.dataclass(kw_only=True)
class Item:
    number: int
    place: Place
    most: int | None = None
    least: float | None = None
    places: list[Place] = dataclasses.field(default_factory=list)
    hidden: int = dataclasses.field(default=3, init=False)


@dataclasses.dataclass
class Mixed:
    """Fields in another order than the parameters."""

    first: int = dataclasses.field(kw_only=True)
    second: float
    third: dataclasses.InitVar[int] = 3
    got: Any = dataclasses.field(default=None, init=False)

    def __post_init__(self, third: int) -> None:
        self.got = third


@attrs.define
class Cart(Generic[T]):
    items: list[T]
    _owner: str = "me"
    size: int = attrs.field(default=0, converter=lambda size: size + 1)


class Spot(NamedTuple):
    x: int
    y: float = 0.0


class Movie(TypedDict):
    year: int
    place: NotRequired[Place]


class Words(TypedDict, total=False):
    place: str


Odd = TypedDict("Odd", {"class": int, "a {b}": float, "it's": NotRequired[int]})


class Own:
    """A constructor that is not the one that attrs would write."""

    def __init__(self, *, number: int, **more: Any) -> None:
        self.number = number
        self.more = more

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"


@attrs.define(init=False, eq=False, repr=False)
class Renamed(Own):
    number: int
    other: float = 1.0


class Checked(abc.ABC, Generic[T]):
    pass


@dataclasses.dataclass
class Concrete(Checked[int]):
    number: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Concrete:
        assert not args
        return super().__new__(cls)


class Thing(pydantic.BaseModel):
    size: int = pydantic.Field(gt=0)
    weight: float = 0.0
    name: str = pydantic.Field("x", alias="the name", max_length=3)
    parts: list[Thing] = []
    named: dict[str, Thing] = {}
    either: int | float | Thing | None = None


class Strict(pydantic.BaseModel, strict=True):
    size: int = 0
    weight: float = 0.0


HINTS = [
    Place,
    Item,
    list[Item],
    Mixed,
    Cart[Item],
    Spot,
    Movie,
    Words,
    dict[str, Movie],
    Odd,
    Renamed,
    Concrete,
    list[Thing],
    Strict,
    int | None,
    float | None,
    int | float,
    int | float | None,
    float | bool,
    list[int | None],
]

NUMBERS = st.sampled_from([0, 1, -3, 1.0, 2.5, 91, 2**53, 1e300])
LEAVES = NUMBERS | st.sampled_from([None, True, "abc", "long text"])
PARAMETERS = ("lat", "lon", "number", "place", "most", "least", "places", "first", "second", "third", "items", "owner")
NAMES = st.sampled_from(
    [*PARAMETERS, "size", "x", "y", "year", "class", "a {b}", "it's", "other", "weight", "the name", "parts", "unknown"]
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)

PLACE = st.fixed_dictionaries({"lat": NUMBERS}, optional={"lon": NUMBERS, "unknown": NUMBERS})
ITEM = st.fixed_dictionaries(
    {"number": NUMBERS, "place": PLACE},
    optional={"most": NUMBERS | st.none(), "least": NUMBERS | st.none(), "places": st.lists(PLACE, max_size=3)},
)
THING = st.deferred(
    lambda: st.fixed_dictionaries(
        {"size": NUMBERS},
        optional={
            "weight": NUMBERS,
            "the name": st.sampled_from(["a", "abcd"]),
            "parts": st.lists(THING, max_size=2),
            "named": st.dictionaries(NAMES, THING, max_size=1),
            "either": NUMBERS | THING,
        },
    )
)
MOVIE = st.fixed_dictionaries({"year": NUMBERS}, optional={"place": PLACE})
LIKELY = st.one_of(
    PLACE,
    ITEM,
    st.lists(ITEM, max_size=3),
    st.fixed_dictionaries({"first": NUMBERS, "second": NUMBERS}, optional={"third": NUMBERS}),
    st.fixed_dictionaries({"items": st.lists(ITEM, max_size=2)}, optional={"owner": st.text(), "size": NUMBERS}),
    st.fixed_dictionaries({"x": NUMBERS}, optional={"y": NUMBERS}),
    MOVIE,
    st.dictionaries(NAMES, MOVIE, max_size=2),
    st.fixed_dictionaries({"class": NUMBERS, "a {b}": NUMBERS}, optional={"it's": NUMBERS}),
    st.fixed_dictionaries({"number": NUMBERS}, optional={"other": NUMBERS}),
    st.lists(THING, max_size=2),
    st.fixed_dictionaries({}, optional={"size": NUMBERS, "weight": NUMBERS}),
    JSON,
)


@functools.cache
def ways(number: int, *, fast: bool) -> tuple[Any, Any]:
    """What binds one argument of the hint, and what builds a value of it."""
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(classes, "compiled_loader", lambda cls, loads, general, closed: general)
            patch.setattr(foreign, "reads_values", lambda schema: False)
        hint = HINTS[number]
        binder = ArgumentBinder(signature_of(hint))
        return (lambda value: binder.bind({"p": value})["p"]), _make_value_loader(hint, "the type")


def outcome(way: Any, value: Any) -> Any:
    try:
        built = way(value)
    except (InvalidArguments, InvalidResult) as error:
        return error.problems
    return type(built), repr(built), built


@pytest.mark.parametrize("number", range(len(HINTS)), ids=[str(hint) for hint in HINTS])
def test_both_ways_build_and_refuse_the_same(number: int) -> None:
    @settings(max_examples=60, deadline=None)
    @given(LIKELY | LEAVES | st.lists(LEAVES, max_size=2))
    def check(value: Any) -> None:
        kept = repr(value)
        for fast, slow in zip(ways(number, fast=True), ways(number, fast=False), strict=True):
            ours, theirs = outcome(fast, value), outcome(slow, value)
            assert ours == theirs
        assert repr(value) == kept

    check()


@pytest.mark.parametrize("value", [[{"size": 1e300}], [{"size": 1, "parts": [{"size": 1}, {"size": 1e20}]}]])
def test_what_pydantic_alone_refuses_is_refused_in_its_words(value: Any) -> None:
    number = HINTS.index(list[Thing])
    (bind, build), (bind_slowly, build_slowly) = ways(number, fast=True), ways(number, fast=False)
    assert outcome(bind, value) == outcome(bind_slowly, value)
    assert outcome(build, value) == outcome(build_slowly, value)
    assert "exceeded maximum size" in str(outcome(bind, value))


def test_only_what_is_out_of_the_ordinary_takes_the_loop() -> None:
    def loop(value: Any) -> Any:
        return "loop", value

    load = compiled_loader(Place, {"lat": as_float, "lon": as_float}, loop, closed=True)
    assert load({"lat": 1, "lon": 2}) == Place(1.0, 2.0)
    assert load({"lat": 1}) == Place(1.0)
    assert load({"lat": 91}) == ("loop", {"lat": 91})
    load = compiled_loader(Place, {"lat": as_float, "lon": None}, loop, closed=False)
    assert load({"lat": 1, "lon": 2.0}) == Place(1.0, 2.0)
    assert load({"lat": 1, "other": 2.0}) == ("loop", {"lat": 1, "other": 2.0})
    load = compiled_loader(None, {"a": as_int, "b": lambda value: value["c"]}, loop, closed=True)
    assert load({"a": 1.0, "d": 1}) == {"a": 1, "d": 1}
    assert load({"a": 1.0, "b": {}}) == ("loop", {"a": 1.0, "b": {}})


def test_a_constructor_that_cannot_be_seen_through_gets_names() -> None:
    seen: list[Any] = []

    class Meta(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            seen.append((args, kwargs))

    class Made(metaclass=Meta):
        def __init__(self, a: int) -> None: ...

    compiled_loader(Made, {"a": None}, lambda value: value, closed=True)({"a": 1})
    assert seen == [((), {"a": 1})]
    assert compiled_loader(int, {}, lambda value: value, closed=True)({}) == 0

    class Native:
        __init__ = dict.update  # type: ignore[assignment]  # which has no signature

    assert compiled_loader(Native, {"a": None}, lambda value: "loop", closed=True)({"a": 1}) == "loop"
