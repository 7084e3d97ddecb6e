"""What ends a server ends it visibly: serving raises, and nothing goes on accepting for an endpoint that is dead."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.hostile.crowd import INSTANT, STRIKES, Attack, Town, add, besiege, call_tool, in_time
from tests.hostile.doors import LEGACY, MEMORY, MODERN, serving
from tests.hostile.functions import HOSTILE
from tests.process.children import call, child
from trimcp.transports.memory import memory_pair

HYPERCORN: Final = (
    "raises_a_stray_cancelled",
    "raises_generator_exit",
    "calls_sys_exit",
    "raises_a_mixed_group",
    "waits_for_ever",
    "keeps_a_generator_in_a_cancelled_scope",
    "changes_a_context_variable",
)
INTERRUPTED: Final = Path(__file__).with_name("interrupted_server.py")


@pytest.mark.parametrize("name", HYPERCORN)
async def test_a_hostile_tool_behind_hypercorn(name: str) -> None:
    hostile = HOSTILE[name]
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        town.server.tool(hostile.run)
        async with serving("hypercorn", town.server) as service:
            attack = Attack.by(functools.partial(call_tool, name=name), hostile)
            await besiege(town, service.connect, [attack] * STRIKES)


async def interrupts() -> None:
    """Raises KeyboardInterrupt, as Ctrl-C does where it comes at a bad moment."""
    raise KeyboardInterrupt


class Interrupted:
    """A server that ends by a KeyboardInterrupt of one of its tools."""

    def __init__(self) -> None:
        self.town = Town()
        self.town.server.tool(interrupts)
        self.address: tuple[str, int] | None = None
        self.failure: BaseException | None = None
        self.over = trio.Event()

    async def serve(self, serve: Callable[..., Awaitable[Any]], task_status: trio.TaskStatus[None]) -> None:
        """Serves until it ends, and keeps why."""

        async def listen() -> None:
            async with trio.open_nursery() as nursery:
                self.address = await nursery.start(functools.partial(serve, 0))
                task_status.started()

        try:
            await listen()
        except BaseException as exc:
            self.failure = exc
        self.over.set()

    async def interrupt(self, target: str, revision: str) -> None:
        """Calls healthy tools, then the one that interrupts."""
        with contextlib.suppress(trimcp.TrimcpError):
            async with trimcp.connect(target, revision=revision) as client:
                for number in range(INSTANT):
                    await add(client, "add", number)
                await call_tool(client, "interrupts")

    async def is_over(self) -> None:
        """Waits for the end, which must be by that interrupt, and leave nothing that listens."""
        await self.over.wait()
        assert self.failure is not None
        assert holds_an_interrupt(self.failure), repr(self.failure)
        assert self.address is not None
        with pytest.raises(OSError, match=r"refused|failed"):
            await (await trio.open_tcp_stream(*self.address)).aclose()


def holds_an_interrupt(exc: BaseException) -> bool:
    """Whether it is a KeyboardInterrupt, or a group with one in it."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(KeyboardInterrupt)[0] is not None
    return isinstance(exc, KeyboardInterrupt)


@pytest.mark.parametrize("revision", [MODERN, LEGACY])
@pytest.mark.parametrize("door", ["http", "websocket", "tcp"])
async def test_an_interrupt_in_a_tool_ends_serving_with_it(door: str, revision: str) -> None:
    async with in_time():
        ending = Interrupted()
        server = ending.town.server
        serve = {"http": server.serve_http, "websocket": server.serve_websocket, "tcp": server.serve_tcp}[door]
        async with trio.open_nursery() as nursery:
            await nursery.start(ending.serve, serve)
            assert ending.address is not None
            host, port = ending.address
            targets = {"http": f"http://{host}:{port}/mcp", "websocket": f"ws://{host}:{port}/mcp"}
            nursery.start_soon(ending.interrupt, targets.get(door, f"tcp://{host}:{port}"), revision)
            await ending.is_over()
            nursery.cancel_scope.cancel()  # a legacy client over HTTP would come back for its answer


async def test_an_interrupt_in_a_tool_in_memory_is_raised_by_the_connection(autojump_clock: MockClock) -> None:
    async with in_time():
        town = Town()
        town.server.tool(interrupts)
        failure: BaseException | None = None
        try:
            async with trimcp.connect(town.server) as client:
                await call_tool(client, "interrupts")
        except BaseException as exc:
            failure = exc
    assert failure is not None
    assert holds_an_interrupt(failure), repr(failure)


async def test_an_interrupt_in_a_tool_ends_a_process() -> None:
    async with child([sys.executable, str(INTERRUPTED)]) as server:
        await server.send(call(1, "interrupts"))
        with trio.fail_after(60):
            assert await server.exit_code() != 0
        await server.says("KeyboardInterrupt")


@pytest.mark.parametrize("name", ["keeps_a_generator_in_a_nursery", "enters_a_nursery_for_ever"])
@pytest.mark.parametrize("door", MEMORY)
async def test_a_drain_does_not_wait_for_what_answered_calls_left_open(
    door: str, name: str, autojump_clock: MockClock
) -> None:
    async with in_time():
        town = Town()
        town.server.tool(HOSTILE[name].run)
        async with town.server.running(), trimcp.connect(town.server, revision=MEMORY[door]) as client:
            for _ in range(STRIKES):
                await Attack.by(functools.partial(call_tool, name=name), HOSTILE[name]).make(client)
            started = trio.current_time()
            report = await town.server.drain(1000.0)
            assert report == trimcp.DrainReport()
            assert trio.current_time() - started < 1000.0


async def test_a_session_that_is_closed_behind_answered_calls_has_lost_nothing(autojump_clock: MockClock) -> None:
    hostile = HOSTILE["keeps_a_generator_in_a_nursery"]
    async with in_time():
        town = Town()
        town.server.tool(hostile.run)
        async with town.server.running(), trio.open_nursery() as nursery:
            ours, theirs = memory_pair()
            session = await nursery.start(town.server.serve, theirs)
            async with trimcp.connect(ours) as client:
                await Attack.by(functools.partial(call_tool, name=hostile.name), hostile).make(client)
                session.close()
                await session.wait_over()
        assert session.lost == 0
