"""The arguments and results of the tools of `benchmarks.work`, for every server in Python.

`objects` returns dataclasses; `models` returns models of pydantic, where that is installed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

MEBIBYTE = 2**20
TEXT = "The quick brown fox. " * (MEBIBYTE // 21)
BLOB = bytes(range(256)) * (MEBIBYTE // 256)
REPORTS = 100


@dataclass
class Item:
    """One of a hundred objects in a result."""

    name: str
    count: int
    price: float
    active: bool
    tags: list[str]


@dataclass
class Listing:
    """A structured result."""

    items: list[Item]
    total: int


@dataclass
class Line:
    """One of twenty objects among the arguments."""

    name: str
    count: int
    price: float
    tags: list[str]


LISTING = Listing(
    [Item(f"item {number}", number, number / 4, number % 2 == 0, ["red", "round"]) for number in range(100)], 100
)

try:
    import pydantic
except ImportError:
    pydantic = None  # type: ignore[assignment,unused-ignore]
else:

    class ItemModel(pydantic.BaseModel):
        """An `Item`, as a model."""

        name: str
        count: int
        price: float
        active: bool
        tags: list[str]

    class ListingModel(pydantic.BaseModel):
        """A `Listing`, as a model."""

        items: list[ItemModel]
        total: int

    LISTING_MODEL = ListingModel.model_validate(asdict(LISTING))
