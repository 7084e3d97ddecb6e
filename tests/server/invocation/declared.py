"""Classes and aliases as users declare them, for the tests of schemas."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import (
    Annotated,
    ClassVar,
    Generic,
    NamedTuple,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)

import annotated_types as at
import attrs
import msgspec
import pydantic
import typing_extensions


class Color(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Suit(enum.StrEnum):
    HEARTS = "h"


Named = typing_extensions.TypeAliasType("Named", dict[str, int])
Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | list[Json] | str | None")


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


@attrs.define
class Node:
    name: str
    children: list[Node] = attrs.Factory(list)
    _secret: int = 0
    derived: int = attrs.field(init=False, default=1)


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Sequel(Movie, total=False):
    part: Required[Annotated[int, at.Ge(2)]]
    released: datetime.date


class Spot(NamedTuple):
    x: int
    when: datetime.date | None = None


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
