"""Shared by the checks of stores: unused names, calls at the same time, brief times to live."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import trio

T = TypeVar("T")
ODD_IDS = ("a:b", "a{b}", "*", "ü", "x" * 200, "'; --", "a/b\\c", " ")
"""Ids that a store may take for something else."""
BRIEF: Final = 0.4
"""Seconds that something lives whose end a check waits for."""


def fresh(name: str = "") -> str:
    """Make an id that no other check has used."""
    return f"{name}-{secrets.token_hex(16)}"


def passing(seconds: float) -> Callable[[], bool]:
    """Return a function that tells whether so many seconds have passed: calls take longer on a busy machine."""
    end = trio.current_time() + seconds
    return lambda: trio.current_time() >= end


async def at_once(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make all calls at the same time, and return their results in the order in which they came."""
    results: list[T] = []

    async def one(call: Callable[[], Awaitable[T]]) -> None:
        results.append(await call())

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(one, call)
    return results


async def raised(call: Awaitable[object], kind: type[Exception]) -> bool:
    """Whether a call raises an exception of this kind."""
    try:
        await call
    except kind:
        return True
    return False
