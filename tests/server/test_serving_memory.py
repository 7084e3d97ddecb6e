"""Serving over memory: many connections of one server, sessions that are over, and limits on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, Peer, served
from trimcp import ConnectionClosed, ConnectionLost, Limits
from trimcp.transports.memory import memory_pair


def make_server(**limits: int) -> trimcp.Server:
    server = trimcp.Server("a", limits=Limits(**limits))

    @server.tool
    async def spoken(ctx: trimcp.Context) -> str:
        return ctx.protocol_version

    return server


async def test_clients_of_every_revision_share_a_server(autojump_clock: MockClock) -> None:
    server = make_server()
    async with server.running(), trio.open_nursery() as nursery:

        async def use(version: str) -> None:
            async with trimcp.connect(server, revision=version) as client:
                for _ in range(20):
                    assert (await client.call_tool("spoken")).text == version
                assert client.protocol_version == version

        for version in ALL * 3:
            nursery.start_soon(use, version)


async def test_serve_tells_its_session_and_returns_when_the_peer_leaves(autojump_clock: MockClock) -> None:
    server = make_server()
    ours, theirs = memory_pair()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            session = await nursery.start(server.serve, theirs)
            assert not session.is_ending
            await ours.aclose()
            await session.wait_ending()
            await session.wait_over()
    assert isinstance(session.end, ConnectionLost)
    with pytest.raises(ConnectionClosed):  # the session has closed its end as well
        theirs.try_send(b"x")


async def test_a_session_may_be_closed_from_any_task_and_more_than_once(autojump_clock: MockClock) -> None:
    server = make_server()
    async with served(server) as peer:
        assert peer.session is not None
        peer.session.close()
        peer.session.close()
        with trio.fail_after(10):
            await peer.session.wait_over()
        peer.session.close()
        assert isinstance(peer.session.end, ConnectionClosed)
        assert await peer.rest() == []
        assert (await peer.session.drain(5)).lost == 0


async def test_over_the_limit_of_sessions_a_connection_is_closed_at_once(autojump_clock: MockClock) -> None:
    server = make_server(sessions=1)
    async with server.running() as running, served(server) as first:
        ours, theirs = memory_pair()
        with trio.fail_after(10):
            session = await running.serve(theirs)
            assert session.end is not None
            assert await Peer(ours, "2026-07-28").rest() == []
        assert (await first.ask(first.call(1, "spoken")))["id"] == 1


async def test_a_run_that_drains_takes_no_new_connection(autojump_clock: MockClock) -> None:
    server = make_server()
    async with server.running() as running:
        await server.drain()
        ours, theirs = memory_pair()
        with trio.fail_after(10):
            await running.serve(theirs)
            assert await Peer(ours, "2026-07-28").rest() == []


async def test_a_server_may_be_served_again_after_it_was_drained(autojump_clock: MockClock) -> None:
    server = make_server()
    for _ in range(3):
        async with trimcp.connect(server) as client:
            assert (await client.call_tool("spoken")).text == "2026-07-28"
            await server.drain()
            with pytest.raises(trimcp.ConnectionEnded):
                await client.ping()


async def test_two_servers_and_two_clients_of_one_process_do_not_meet(autojump_clock: MockClock) -> None:
    one, two = trimcp.Server("one"), trimcp.Server("two")
    one.tool(name="name")(name_of("one"))
    two.tool(name="name")(name_of("two"))
    async with trimcp.connect(one) as a, trimcp.connect(two) as b:
        for _ in range(3):
            assert (await a.call_tool("name")).text == "one"
            assert (await b.call_tool("name")).text == "two"
        await one.drain()
        await wait_all_tasks_blocked()
        assert (await b.call_tool("name")).text == "two"


def name_of(name: str) -> Callable[[], Awaitable[str]]:
    async def tell() -> str:
        return name

    return tell
