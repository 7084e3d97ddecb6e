"""The hostile functions: each does one thing that a handler must not do, in its own task.

Each is registered with the outcome that its request may have. All of them end: those that wait for ever by being
cancelled, those that shield themselves after a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Final, NoReturn

import attrs
import trio

UNCHANGED: Final = "unchanged"
VARIABLE: Final = contextvars.ContextVar("tests.hostile.VARIABLE", default=UNCHANGED)
"""Set by the hostile functions, and read by the healthy ones, for which it must be `UNCHANGED`."""

MOMENT: Final = 0.08
"""Seconds after which nothing that a function has begun goes on by itself, such as a shielded wait."""

LEFT: Final = "left behind"
"""Returned by the functions that leave something open in their task."""


class Outcome(enum.Enum):
    """What the caller of a hostile handler gets."""

    FAILS = "fails"
    """An error."""
    MAY_FAIL = "may fail"
    """An error, or the value that the function returned."""
    SUCCEEDS = "succeeds"
    """The value that the function returned."""
    HANGS = "hangs"
    """Nothing: the caller gives up, and the function is cancelled."""
    ENDS = "ends"
    """An error, or any value."""
    IS_LEFT = "is left"
    """Whatever the function made of being cancelled in the caller's own task: the caller gives up."""


@attrs.frozen
class Hostile:
    """One hostile function."""

    name: str
    run: Callable[[], Awaitable[Any]]
    outcome: Outcome
    value: Any = None
    """Returned where it returns."""
    lasts: bool = False
    """Whether something of it shows only after a moment."""

    def __str__(self) -> str:
        return self.name


HOSTILE: Final[dict[str, Hostile]] = {}
"""Every hostile async function by its name."""

_kept: Final[list[Any]] = []
"""Keeps alive the generators, nurseries and scopes that were left open."""
_passed_on: Final[list[trio.CancelScope]] = []
"""A scope that one call has entered for the next one to leave."""


def unshield() -> None:
    """Lets cancels through the shields that were left open, where an engine has not got rid of them."""
    for kept in _kept:
        if isinstance(kept, trio.CancelScope):
            kept.shield = False


def forget() -> None:
    """Drops all that the functions have kept alive; called when the run of Trio is over."""
    _kept.clear()
    _passed_on.clear()


def _hostile(
    outcome: Outcome, value: Any = None, *, lasts: bool = False
) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    def register(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        name = function.__name__
        HOSTILE[name] = Hostile(name, function, outcome, value, lasts)
        return function

    return register


_fails = _hostile(Outcome.FAILS)
_hangs = _hostile(Outcome.HANGS)
_leaves = _hostile(Outcome.MAY_FAIL, LEFT)
_leaves_for_a_moment = _hostile(Outcome.MAY_FAIL, LEFT, lasts=True)


# --- raises -------------------------------------------------------------------------------


class NeitherErrorNorExit(BaseException):
    """Derives from BaseException directly."""


class Unprintable(Exception):
    """Raises where its text is asked for."""

    def __str__(self) -> str:
        raise RuntimeError("this exception has no text")

    __repr__ = __str__


async def stray_cancelled() -> trio.Cancelled:
    """Takes a Cancelled out of a scope that is finished."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as exc:
            taken = exc
            raise
    return taken


@_fails
async def raises_a_stray_cancelled() -> NoReturn:
    """Raises a Cancelled that no open scope has caused."""
    raise await stray_cancelled()


@_fails
async def raises_generator_exit() -> NoReturn:
    """Raises GeneratorExit, as if its coroutine were closed."""
    raise GeneratorExit


@_fails
async def calls_sys_exit() -> NoReturn:
    """Calls sys.exit, and so raises SystemExit."""
    sys.exit("a handler wants the process to end")


@_fails
async def raises_stop_iteration() -> NoReturn:
    """Raises StopIteration, which Python turns into a RuntimeError."""
    raise StopIteration


@_fails
async def raises_stop_async_iteration() -> NoReturn:
    """Raises StopAsyncIteration, which ends an `async for` around it."""
    raise StopAsyncIteration


@_fails
async def raises_asyncio_cancelled() -> NoReturn:
    """Raises the CancelledError of asyncio."""
    raise asyncio.CancelledError


@_fails
async def raises_a_base_exception() -> NoReturn:
    """Raises a class of its own that is no Exception."""
    raise NeitherErrorNorExit


@_fails
async def raises_an_exception_group() -> NoReturn:
    """Raises a group of ordinary errors."""
    raise ExceptionGroup("two errors", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])])


@_fails
async def raises_a_mixed_group() -> NoReturn:
    """Raises a group of an error, a stray Cancelled, GeneratorExit, SystemExit and the CancelledError of asyncio."""
    strays = [await stray_cancelled(), GeneratorExit(), SystemExit(1), asyncio.CancelledError()]
    raise BaseExceptionGroup("everything", [ValueError("one"), BaseExceptionGroup("inner", strays)])


@_fails
async def raises_a_group_of_cancels() -> NoReturn:
    """Raises a group of nothing but stray Cancelleds."""
    raise BaseExceptionGroup("cancels", [await stray_cancelled(), await stray_cancelled()])


@_fails
async def exhausts_the_recursion_limit() -> Any:
    """Calls itself until Python's recursion limit is reached."""
    return await exhausts_the_recursion_limit()


@_fails
async def raises_memory_error() -> NoReturn:
    """Raises MemoryError, as where an object is too large."""
    raise MemoryError


@_fails
async def raises_the_unprintable() -> NoReturn:
    """Raises an exception whose text cannot be had."""
    raise Unprintable


@_fails
async def awaits_what_trio_does_not_know() -> Any:
    """Awaits an object of another event loop, which yields something that Trio does not know."""

    class Foreign:
        def __await__(self) -> Generator[Any, Any, None]:
            yield "a future of another loop"

    await Foreign()
    return "unreachable"


@_fails
async def fails_in_a_child_task() -> None:
    """Has a child of its own nursery raise SystemExit, and another one fail over that."""

    async def untidy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while cleaning up")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(untidy)
        await trio.lowlevel.checkpoint()
        nursery.start_soon(calls_sys_exit)


# --- waits ----------------------------------------------------------------------------------


@_hangs
async def waits_for_ever() -> None:
    """Waits until it is cancelled."""
    await trio.sleep_forever()


@_hostile(Outcome.HANGS, lasts=True)
async def shields_itself() -> None:
    """Waits a moment in a shielded scope, deaf to cancels."""
    with trio.CancelScope(shield=True):
        await trio.sleep(MOMENT)
    await trio.sleep_forever()


@_hangs
async def swallows_cancelled() -> str:
    """Swallows the first Cancelled and goes on to wait, then swallows the next one and returns."""
    for _ in range(2):
        with contextlib.suppress(trio.Cancelled):
            await trio.sleep_forever()
    return "swallowed"


@_hangs
async def turns_cancelled_into_an_error() -> None:
    """Raises an ordinary error in the place of Cancelled."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        raise ValueError("instead of Cancelled") from None


@_hangs
async def turns_cancelled_into_system_exit() -> None:
    """Raises SystemExit in the place of Cancelled."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        sys.exit("instead of Cancelled")


# --- leaves something open --------------------------------------------------------------------


async def _in_scope(scope: trio.CancelScope) -> AsyncIterator[trio.CancelScope]:
    with scope:
        yield scope


async def _in_nursery(children: int) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        for _ in range(children):
            nursery.start_soon(trio.sleep_forever)
        yield nursery


async def _begun(generator: AsyncIterator[Any], *, keep: bool) -> Any:
    if keep:
        _kept.append(generator)
    return await anext(generator)


@_leaves
async def drops_a_generator_in_a_scope() -> str:
    """Leaves an async generator inside `move_on_after` and drops it."""
    await _begun(_in_scope(trio.move_on_after(1000)), keep=False)
    return LEFT


@_leaves_for_a_moment
async def keeps_a_generator_in_a_scope() -> str:
    """Leaves an async generator inside `move_on_after`, whose time is soon over, and keeps it alive."""
    await _begun(_in_scope(trio.move_on_after(MOMENT / 4)), keep=True)
    return LEFT


@_leaves
async def keeps_a_generator_in_a_cancelled_scope() -> str:
    """Leaves an async generator inside a scope that is cancelled, and keeps it alive."""
    scope = await _begun(_in_scope(trio.CancelScope()), keep=True)
    scope.cancel()
    return LEFT


@_leaves
async def drops_a_generator_in_a_nursery() -> str:
    """Leaves an async generator inside a nursery without children and drops it."""
    await _begun(_in_nursery(0), keep=False)
    return LEFT


@_leaves
async def keeps_a_generator_in_a_nursery() -> str:
    """Leaves an async generator inside a nursery with children that wait for ever, and keeps it alive."""
    await _begun(_in_nursery(2), keep=True)
    return LEFT


@_leaves_for_a_moment
async def enters_a_nursery_for_ever() -> str:
    """Enters a nursery by hand, starts a child that fails soon, and never leaves it."""

    async def fails_soon() -> None:
        await trio.sleep(MOMENT / 4)
        raise ValueError("nothing waits for this task")

    manager = trio.open_nursery()
    _kept.append(manager)
    nursery = await manager.__aenter__()
    nursery.start_soon(fails_soon)
    nursery.start_soon(trio.sleep_forever)
    return LEFT


@_leaves
async def enters_a_scope_for_ever() -> str:
    """Enters a cancel scope by hand and never leaves it."""
    scope = trio.CancelScope()
    _kept.append(scope)
    scope.__enter__()
    return LEFT


@_leaves
async def enters_a_shield_for_ever() -> str:
    """Enters a shielded cancel scope by hand and never leaves it."""
    scope = trio.CancelScope(shield=True)
    _kept.append(scope)
    scope.__enter__()
    return LEFT


@_fails
async def enters_a_scope_and_raises() -> NoReturn:
    """Enters a cancelled scope by hand, never leaves it, and raises what it caused."""
    scope = trio.CancelScope()
    _kept.append(scope)
    scope.__enter__()
    scope.cancel()
    await trio.lowlevel.checkpoint()
    raise AssertionError("unreachable")


@_fails
async def leaves_a_scope_of_another_task() -> str:
    """Leaves a scope that a child task has entered and waits in."""
    scope = trio.CancelScope()

    async def enter(task_status: trio.TaskStatus[None]) -> None:
        scope.__enter__()
        task_status.started()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(enter)
        scope.__exit__(None, None, None)
    return LEFT


@_leaves
async def passes_a_scope_to_the_next_call() -> str:
    """Enters a scope, which the next call of this function leaves in a task of its own."""
    if _passed_on:
        _passed_on.pop().__exit__(None, None, None)
    else:
        scope = trio.CancelScope()
        scope.__enter__()
        _passed_on.append(scope)
    return LEFT


# --- allowed, and kept apart --------------------------------------------------------------------


@_hostile(Outcome.SUCCEEDS, "changed")
async def changes_a_context_variable() -> str:
    """Sets a context variable, which no other call must see."""
    VARIABLE.set("changed")
    await trio.lowlevel.checkpoint()
    return VARIABLE.get()


@_hostile(Outcome.SUCCEEDS, "cancelled itself")
async def cancels_a_scope_of_its_own() -> str:
    """Cancels a scope that it has opened around itself, and returns."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.sleep_forever()
    return "cancelled itself"


TELLING: Final = (
    "raises_a_stray_cancelled",
    "raises_generator_exit",
    "calls_sys_exit",
    "raises_stop_async_iteration",
    "raises_a_mixed_group",
    "exhausts_the_recursion_limit",
    "raises_the_unprintable",
    "waits_for_ever",
    "shields_itself",
    "swallows_cancelled",
    "turns_cancelled_into_system_exit",
    "drops_a_generator_in_a_scope",
    "keeps_a_generator_in_a_cancelled_scope",
    "keeps_a_generator_in_a_nursery",
    "enters_a_shield_for_ever",
    "changes_a_context_variable",
)
"""One function for each way of misbehaving; tools meet all of them."""
FEW: Final = (
    "raises_a_stray_cancelled",
    "raises_generator_exit",
    "calls_sys_exit",
    "waits_for_ever",
    "keeps_a_generator_in_a_cancelled_scope",
)
"""The worst of them, for the many kinds of handlers that share a way."""


# --- in a thread ----------------------------------------------------------------------------------


def _exhaust() -> Any:
    return _exhaust()


def _raise(exc: BaseException) -> NoReturn:
    raise exc


def _set_variable() -> str:
    VARIABLE.set("changed")
    return VARIABLE.get()


SYNC: Final[dict[str, tuple[Callable[[], Any], Outcome]]] = {
    "raises_generator_exit": (lambda: _raise(GeneratorExit()), Outcome.FAILS),
    "calls_sys_exit": (lambda: sys.exit("a thread wants the process to end"), Outcome.FAILS),
    "raises_stop_iteration": (lambda: _raise(StopIteration()), Outcome.FAILS),
    "raises_stop_async_iteration": (lambda: _raise(StopAsyncIteration()), Outcome.FAILS),
    "raises_asyncio_cancelled": (lambda: _raise(asyncio.CancelledError()), Outcome.FAILS),
    "raises_a_base_exception": (lambda: _raise(NeitherErrorNorExit()), Outcome.FAILS),
    "raises_an_exception_group": (
        lambda: _raise(BaseExceptionGroup("two", [ValueError("one"), GeneratorExit()])),
        Outcome.FAILS,
    ),
    "raises_the_unprintable": (lambda: _raise(Unprintable()), Outcome.FAILS),
    "exhausts_the_recursion_limit": (_exhaust, Outcome.FAILS),
    "changes_a_context_variable": (_set_variable, Outcome.SUCCEEDS),
}
"""The hostile functions of sync handlers, which run in threads, by name."""


def raises_a_kept_cancelled(taken: trio.Cancelled) -> NoReturn:
    """Raises in a thread a Cancelled that was taken elsewhere."""
    raise taken
