"""What handlers may return by mistake or malice: each is made anew for each call."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, NoReturn

import attrs
import trio

_made: Final[list[Coroutine[Any, Any, Any]]] = []


def close_coroutines() -> None:
    """Closes the coroutines that were returned and not awaited, so that Python does not warn of them."""
    while _made:
        _made.pop().close()


async def _never_awaited() -> str:
    raise AssertionError("awaited")


def _coroutine() -> Any:
    _made.append(_never_awaited())
    return _made[-1]


async def _generator() -> AsyncIterator[int]:
    yield 1


def nested(depth: int) -> list[Any]:
    """A list in a list, that many times."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _in_itself() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


class Hasty:
    """Cannot be asked for anything: looking at its class, its text or its truth ends the process."""

    def _exit(self, *_: Any) -> NoReturn:
        sys.exit("it was looked at")

    __str__ = __repr__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = _exit


@dataclasses.dataclass
class WithAnExit:
    """Has a field that exits when it is read."""

    ready: int = 1

    @property
    def late(self) -> int:
        """Exits."""
        sys.exit("a field was read")


@attrs.define
class ExitingField:
    """Raises SystemExit where a field is read."""

    field: int = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "field":
            sys.exit("a field was read")
        return super().__getattribute__(name)


class ExitingMapping(Mapping[str, int]):
    """Raises GeneratorExit where its items are read."""

    def __getitem__(self, key: str) -> int:
        raise GeneratorExit

    def __iter__(self) -> Iterator[str]:
        raise GeneratorExit

    def __len__(self) -> int:
        return 1


class Text(str):
    """A subclass of str whose methods exit."""

    __slots__ = ()

    def encode(self, *_: Any) -> NoReturn:
        """Exits."""
        sys.exit("it was encoded")

    isascii = __len__ = __str__ = encode


GARBAGE: Final[dict[str, Callable[[], Any]]] = {
    "an object": object,
    "a class": lambda: Hasty,
    "a function": lambda: close_coroutines,
    "a module": lambda: sys,
    "an exception": lambda: ValueError("returned, not raised"),
    "not a number": lambda: float("nan"),
    "infinity": lambda: [float("inf"), float("-inf")],
    "a set": lambda: {1, "a", None},
    "a set of objects": lambda: {object()},
    "a coroutine": _coroutine,
    "an async generator": _generator,
    "an endless generator": itertools.count,
    "a list nested too deep for JSON": lambda: nested(1_000),
    "a list nested too deep for Python": lambda: nested(100_000),
    "a list that is in itself": _in_itself,
    "bytes": lambda: b"\xff\xfe\x00",
    "lone surrogates": lambda: "\ud800\udfff",
    "lone surrogates inside": lambda: {"\ud800": ["\udfff"]},
    "a number without bounds": lambda: 10**400,
    "keys that are no strings": lambda: {object(): 1, (1, 2): 2},
    "an object that exits": Hasty,
    "a field that exits": ExitingField,
    "a mapping that exits": ExitingMapping,
    "a text that exits": lambda: Text("text"),
    "a scope": trio.CancelScope,
    "nothing": lambda: None,
}
"""Makes each value, by what it is."""
