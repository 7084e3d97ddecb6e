"""Classes that a program defines, as params or results of its own methods, are made by their own `__init__`."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.codec.test_decoding import LEGACY, problems


@attrs.frozen
class Frozen:
    city: str
    day: int | None = None


@attrs.define
class Completed:
    city: str
    day: int | None = None
    title: str | None = None

    def __attrs_post_init__(self) -> None:
        self.title = f"{self.city} {self.day}"


@attrs.define(on_setattr=None)
class Converted:
    city: str
    day: int | None = attrs.field(default=None, converter=lambda day: day and day + 1)


@attrs.define
class Checked:
    city: str = attrs.field(kw_only=True)
    day: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.lt(8)))


@attrs.define(init=False)
class Initialized:
    city: str
    day: int | None = None

    def __init__(self, city: str, day: int | None = None) -> None:
        self.__attrs_init__(city.upper(), day)  # type: ignore[attr-defined]


@attrs.define(on_setattr=None)
class Titled:
    city: str
    day: int | None = None
    title: str = attrs.field(default=attrs.Factory(lambda made: f"{made.city} {made.day}", takes_self=True))


@attrs.define(on_setattr=None)
class Base:
    city: str
    day: int | None = None


class Derived(Base):
    def __init__(self, city: str, day: int | None = None) -> None:
        super().__init__(city.upper(), day)


@attrs.define(on_setattr=None)
class Created:
    city: str
    day: int | None = None
    is_new: bool = attrs.field(init=False)

    def __new__(cls, *args: Any, **kwargs: Any) -> Created:
        made = super().__new__(cls)
        made.is_new = True
        return made


@pytest.mark.parametrize("cls", [Frozen, Completed, Converted, Checked, Initialized, Titled, Base, Derived, Created])
def test_a_class_of_a_program_is_made_by_its_own_init(cls: type[Any]) -> None:
    """Other classes are made of their required fields, and the others are set."""
    assert LEGACY.structure({"city": "Wien", "day": 3}, cls) == cls(city="Wien", day=3)
    assert LEGACY.structure({"city": "Wien"}, cls) == cls(city="Wien")
    assert problems(lambda value: LEGACY.structure(value, cls), {"city": "Wien", "day": "3"}) == [
        "expected integer @ $.day"
    ]
    assert problems(lambda value: LEGACY.structure(value, cls), {"day": 3}) == ["required property missing @ $.city"]


def test_a_class_that_prepares_itself_is_made_by_its_own_init() -> None:
    prepared: list[type[Any]] = []

    @attrs.define(on_setattr=None)
    class Prepared:
        city: str

        def __attrs_pre_init__(self) -> None:
            prepared.append(type(self))

    assert LEGACY.structure({"city": "Wien"}, Prepared).city == "Wien"
    assert prepared == [Prepared]
