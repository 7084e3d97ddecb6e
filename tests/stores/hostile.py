"""What a store of a user's may do that it must not: functions for any of its methods."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import trio

from tests.hostile.functions import NeitherErrorNorExit, Unprintable, stray_cancelled

VARIABLE = contextvars.ContextVar("tests.stores.VARIABLE", default="unchanged")
_kept: list[Any] = []
"""Keeps alive what the functions leave open."""


async def raises(*_: Any) -> NoReturn:
    raise RuntimeError("the database is gone")


async def raises_what_has_no_text(*_: Any) -> NoReturn:
    raise Unprintable


async def raises_a_base_exception(*_: Any) -> NoReturn:
    raise NeitherErrorNorExit


async def raises_generator_exit(*_: Any) -> NoReturn:
    raise GeneratorExit


async def exits(*_: Any) -> NoReturn:
    sys.exit(3)


async def raises_a_group(*_: Any) -> NoReturn:
    raise BaseExceptionGroup("several", [ValueError("one"), GeneratorExit()])


async def raises_a_stray_cancelled(*_: Any) -> NoReturn:
    raise await stray_cancelled()


async def exhausts_the_recursion_limit(*_: Any) -> None:
    await exhausts_the_recursion_limit()


async def leaves_a_scope_open(*_: Any) -> None:
    scope = trio.CancelScope()
    _kept.append(scope)
    scope.__enter__()


async def leaves_a_nursery_open(*_: Any) -> None:
    manager = trio.open_nursery()
    _kept.append(manager)
    nursery = await manager.__aenter__()
    nursery.start_soon(trio.sleep_forever)


async def returns_garbage(*_: Any) -> Any:
    VARIABLE.set("changed")
    return {"rows": [1, 2, 3]}


def is_not_async(*_: Any) -> Any:
    return 7


async def hangs(*_: Any) -> None:
    await trio.sleep_forever()


async def hangs_behind_a_shield(*_: Any) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(1000)


async def swallows_its_cancel(*_: Any) -> None:
    for _ in range(10):
        try:
            await trio.sleep(100)
        except trio.Cancelled:
            continue


HOSTILE: list[Callable[..., Awaitable[Any]]] = [
    raises,
    raises_what_has_no_text,
    raises_a_base_exception,
    raises_generator_exit,
    exits,
    raises_a_group,
    raises_a_stray_cancelled,
    exhausts_the_recursion_limit,
    leaves_a_scope_open,
    leaves_a_nursery_open,
    returns_garbage,
    is_not_async,
    hangs,
    hangs_behind_a_shield,
    swallows_its_cancel,
]
FINE_AS_A_WRITE = [returns_garbage]
"""What a method that returns nothing may do, since what it returns is not looked at."""
