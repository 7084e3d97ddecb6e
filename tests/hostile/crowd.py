"""The healthy part of a server, the callers that depend on it, and what all of them must see while others misbehave."""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

import trimcp
from tests.hostile.functions import MOMENT, UNCHANGED, VARIABLE, Hostile, Outcome, unshield
from trimcp.errors import ConnectionEnded

WAITING: Final = 49
INSTANT: Final = 50
"""Healthy calls in flight while a hostile one runs: those that wait, and those that are answered at once."""
STRIKES: Final = 3
"""Times that a hostile handler is called at once, so that several workers have met it."""
LATER: Final = 4
"""Calls of each kind on each connection afterwards."""
PATIENCE: Final = 60.0
"""Seconds after which a test has hung."""

Connect = Callable[..., Any]
"""Opens one more connection to the server: an async context manager of a `Client`."""
Strike = Callable[[trimcp.Client], Awaitable[Any]]
"""Calls a hostile handler once, by a client."""


class Town:
    """A server with healthy tools, each of which looks for traces of other calls in its own task."""

    def __init__(self, *, deadline: float | None = None, **options: Any) -> None:
        """
        Args:
            deadline: of the scopes that the server runs in; any other that a healthy call sees is a trace. None: not
                looked at.
            options: of the server.
        """
        limits = options.pop("limits", None) or trimcp.Limits(grace=2.0)
        self.server = trimcp.Server("town", limits=limits, **options)
        self._deadline = deadline
        self._gate = trio.Event()
        self._arrived = 0
        self._lingering = 0
        self._cancelled = 0
        self._changed = trio.Event()
        self._declare()

    def _declare(self) -> None:
        @self.server.tool
        async def add(a: int, b: int) -> int:
            """Answers at once."""
            self.look_for_traces()
            return a + b

        @self.server.tool
        async def add_later(a: int, b: int) -> int:
            """Answers when the gate is open."""
            self.look_for_traces()
            self._arrived += 1
            self._tell()
            await self._gate.wait()
            self.look_for_traces()
            return a + b

        @self.server.tool
        async def open_gate() -> str:
            """Lets every call of `add_later` go on."""
            self._gate.set()
            return "open"

        @self.server.tool
        async def linger() -> None:
            """Waits until it is cancelled."""
            self.look_for_traces()
            self._lingering += 1
            self._tell()
            try:
                await trio.sleep_forever()
            finally:
                self._cancelled += 1
                self._tell()

        @self.server.tool
        async def lingered() -> int:
            """Tells how many calls of `linger` wait, or were cancelled where none waits."""
            return self._lingering - self._cancelled or -self._cancelled

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def look_for_traces(self) -> None:
        """Fails where another call has left a context variable or a cancel scope in this task."""
        assert VARIABLE.get() == UNCHANGED, "a context variable of another call"
        if self._deadline is not None:
            assert trio.current_effective_deadline() == self._deadline, "a cancel scope of another call"

    async def arrived(self, number: int) -> None:
        """Waits until that many calls of `add_later` have begun, counted from the beginning."""
        while self._arrived < number:
            await self._changed.wait()

    async def linger_and_leave(self, client: trimcp.Client, number: int) -> None:
        """Makes that many calls of `linger`, gives up on all of them, and waits until they are cancelled."""
        begun, cancelled = self._lingering + number, self._cancelled + number
        async with trio.open_nursery() as nursery:
            for _ in range(number):
                nursery.start_soon(client.call_tool, "linger")
            while self._lingering < begun:
                await self._changed.wait()
            nursery.cancel_scope.cancel()
        while self._cancelled < cancelled:
            await self._changed.wait()


async def add(client: trimcp.Client, tool: str, a: int) -> None:
    """Makes one healthy call, and checks its answer."""
    result = await client.call_tool(tool, {"a": a, "b": 1000})
    assert not result.is_error, result.text
    assert result.text == str(a + 1000)


@attrs.frozen
class Got:
    """What the caller of a hostile handler got: a value, an error, or neither before it gave up."""

    value: Any = None
    error: BaseException | str | None = None
    gave_up: bool = False

    def check(self, outcome: Outcome, value: Any) -> None:
        """Fails where it is not what the caller may get."""
        match outcome:
            case Outcome.HANGS:
                assert self.gave_up, self
            case Outcome.IS_LEFT:
                pass
            case Outcome.ENDS:
                assert not self.gave_up, self
            case Outcome.FAILS:
                assert self.error is not None, self
            case Outcome.SUCCEEDS:
                assert self.value == value, self
            case Outcome.MAY_FAIL:
                assert not self.gave_up, self
                assert self.error is not None or self.value == value, self


async def call_tool(client: trimcp.Client, name: str, **arguments: Any) -> str:
    """Calls a tool; returns its text.

    Raises:
        ToolFailed: it says that it failed.
    """
    return (await client.call_tool(name, arguments)).raise_for_error().text


@attrs.frozen
class Attack:
    """A hostile call: how it is made, and what its caller may get."""

    strike: Strike
    outcome: Outcome
    value: Any = None

    @classmethod
    def by(cls, strike: Strike, hostile: Hostile) -> Attack:
        """The call of a handler that is a hostile function."""
        return cls(strike, hostile.outcome, hostile.value)

    async def make(self, client: trimcp.Client) -> None:
        """Makes the call, gives up after a moment where it is to hang, and checks what came of it."""
        (await self._got(client)).check(self.outcome, self.value)

    async def _got(self, client: trimcp.Client) -> Got:
        is_to_hang = self.outcome in (Outcome.HANGS, Outcome.IS_LEFT)
        with trio.move_on_after(MOMENT / 2 if is_to_hang else math.inf):
            try:
                return Got(value=await self.strike(client))
            except ConnectionEnded as exc:
                raise AssertionError("a hostile call has ended the connection") from exc
            except Exception as exc:
                return Got(error=exc)
        return Got(gave_up=True)


async def besiege(
    town: Town, connect: Connect, attacks: Sequence[Attack], *, pause: float = 0.0, healthy: Strike | None = None
) -> None:
    """Makes hostile calls among healthy ones, and checks what all of them get, then and later.

    Args:
        town: the server.
        connect: opens a connection to it.
        attacks: made at once, on one connection.
        pause: seconds until the effects of what they left behind have shown.
        healthy: calls a handler of the same kind that is healthy, and raises where the answer is wrong.
    """
    instant: list[Strike] = [functools.partial(add, tool="add", a=number) for number in range(INSTANT)]
    if healthy is not None:
        instant[::2] = [healthy] * len(instant[::2])
    is_reached = False
    async with connect() as attacked, connect() as other:
        clients = [attacked, other]
        for client in clients:
            await add(client, "add", 0)  # so that each has read the list of tools, and not each of its calls does
        async with trio.open_nursery() as nursery:
            for number in range(WAITING):
                nursery.start_soon(add, clients[number % 2], "add_later", number)
            await town.arrived(WAITING)
            async with trio.open_nursery() as made:
                for number in range(max(len(attacks), INSTANT)):
                    if number < INSTANT:
                        nursery.start_soon(instant[number], clients[number % 2])
                    if number < len(attacks):
                        made.start_soon(attacks[number].make, attacked)
            await trio.sleep(pause)
            assert await call_tool(other, "open_gate") == "open"
        async with connect() as new:
            for client in (attacked, new):
                await _works(town, client, healthy)
        is_reached = True
    assert is_reached, "a connection was cancelled from below"


async def _works(town: Town, client: trimcp.Client, healthy: Strike | None) -> None:
    """Checks that healthy calls by a client get right answers, and that giving up cancels them."""
    async with trio.open_nursery() as nursery:
        for number in range(LATER):
            if healthy is not None:
                nursery.start_soon(healthy, client)
            nursery.start_soon(add, client, "add", number)
            nursery.start_soon(add, client, "add_later", number)
    await town.linger_and_leave(client, LATER)
    await add(client, "add", 7)


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Fails a test that hangs; a long time by a clock that jumps, since that is free."""
    is_virtual = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    most = 100_000 if is_virtual else PATIENCE
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_unshield_later, most + 1)
        with trio.fail_after(most):
            yield
        nursery.cancel_scope.cancel()


async def _unshield_later(seconds: float) -> None:
    await trio.sleep(seconds)
    unshield()
