"""What the state machine found once: a connection that goes in the very moment in which somebody begins to wait."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import trimcp
from tests.process.children import call, initialize, lines_of
from trimcp.server.run import ServerRun
from trimcp.session.session import Session
from trimcp.transports.duplex import Duplex
from trimcp.transports.memory import memory_pair


def make_server(errors: list[BaseException]) -> trimcp.Server:
    server = trimcp.Server("last moments")

    @server.tool
    async def asks(ctx: trimcp.Context) -> str:
        try:
            await ctx.ping()
        except BaseException as exc:
            errors.append(exc)
            raise
        return "there"

    @server.tool
    async def after(seconds: float) -> str:
        await trio.sleep(seconds)
        return "done"

    return server


async def session_with(running: ServerRun, nursery: trio.Nursery, *messages: object) -> tuple[Session, Duplex]:
    """A session of the running server to which these messages are on their way."""
    near, far = memory_pair()
    nursery.start_soon(running.serve, far)
    await trio.testing.wait_all_tasks_blocked()
    (session,) = running.sessions
    data = lines_of(*messages)
    assert near.try_send(data) == len(data)
    return session, near


async def test_a_handler_that_asks_a_client_that_has_just_left_is_told_or_cancelled() -> None:
    errors: list[BaseException] = []
    with trio.fail_after(60):
        async with make_server(errors).running() as running, trio.open_nursery() as nursery:
            session, near = await session_with(running, nursery, *initialize("2025-11-25"))
            await trio.testing.wait_all_tasks_blocked()
            near.try_send(lines_of({**call(1, "asks"), "params": {"name": "asks"}}))
            await near.aclose()  # before the server has read it
            await session.wait_over()
    assert isinstance(session.end, trimcp.ConnectionLost)
    assert all(isinstance(error, trimcp.ConnectionLost | trio.Cancelled) for error in errors)
    assert len(errors) == 1


async def test_every_one_of_several_drains_ends_as_soon_as_the_work_has(autojump_clock: trio.testing.MockClock) -> None:
    reports: list[trimcp.DrainReport] = []
    async with make_server([]).running() as running, trio.open_nursery() as nursery:
        session, _ = await session_with(running, nursery, call(1, "after", seconds=1))
        await trio.testing.wait_all_tasks_blocked()

        async def drain() -> None:
            reports.append(await session.drain(100))

        async with trio.open_nursery() as draining:
            for _ in range(3):
                draining.start_soon(drain)
        assert trio.current_time() == pytest.approx(1)
        nursery.cancel_scope.cancel()
    assert reports == [trimcp.DrainReport(finished=1)] * 3


async def test_a_drain_ends_with_a_client_that_leaves(autojump_clock: trio.testing.MockClock) -> None:
    async with make_server([]).running() as running, trio.open_nursery() as nursery:
        session, near = await session_with(running, nursery, call(1, "after", seconds=1))
        await trio.testing.wait_all_tasks_blocked()

        async def leave() -> None:
            await near.send_eof()

        nursery.start_soon(leave)
        report = await session.drain(100)
        assert trio.current_time() == pytest.approx(1)
    assert report == trimcp.DrainReport(finished=1)


async def test_what_is_under_way_when_the_connection_is_lost_is_a_loss(autojump_clock: trio.testing.MockClock) -> None:
    reports: list[trimcp.DrainReport] = []
    async with make_server([]).running() as running, trio.open_nursery() as nursery:
        session, _ = await session_with(running, nursery, call(1, "after", seconds=1), call(2, "after", seconds=3))
        await trio.testing.wait_all_tasks_blocked()

        async def drain() -> None:
            reports.append(await session.drain(100))

        nursery.start_soon(drain)
        await trio.sleep(2)
        session.close()
    assert reports == [trimcp.DrainReport(finished=1, lost=1)]
    assert session.lost == 1


async def test_a_result_that_has_come_is_not_lost_with_the_list_of_tools() -> None:
    server = make_server([])

    async def refuse_lists(ctx: trimcp.Context, params: object, proceed: trimcp.Proceed) -> object:
        if ctx.method == "tools/list":
            raise trimcp.RequestFailed(-31002, "no more")
        return await proceed(params)

    server.middleware(refuse_lists)
    async with trimcp.connect(server) as client:
        assert (await client.call_tool("after", {"seconds": 0})).structured == {"result": "done"}


async def test_an_answer_that_cannot_be_written_any_more_is_a_loss(autojump_clock: trio.testing.MockClock) -> None:
    async with make_server([]).running() as running, trio.open_nursery() as nursery:
        session, near = await session_with(running, nursery, call(1, "after", seconds=1))
        await trio.testing.wait_all_tasks_blocked()
        await near.aclose()  # which the server notices by the end of input, and drains
        await session.wait_over()
        assert trio.current_time() == pytest.approx(1)
    assert session.lost == 1
