"""`Server`: what may be declared when, what a run is, and what a look at it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ERAS, LEGACY, MODERN, served
from trimcp import Limits, UsageError


async def noop() -> None:
    """Do nothing."""


class Thing:
    async def bound(self) -> int:
        return 1

    async def __call__(self, a: int) -> int:
        return a


# --- declaring ------------------------------------------------------------------------


@pytest.mark.parametrize("revisions", [["1999-01-01"], [], [MODERN, "nope"]])
def test_a_server_needs_revisions_that_exist(revisions: list[str]) -> None:
    with pytest.raises(UsageError, match="2024-11-05"):
        trimcp.Server("a", revisions=revisions)


@pytest.mark.parametrize("name", ["with space", "ümlaut", "a" * 129, "a/b", "new\nline"])
def test_a_tools_name_is_checked(name: str) -> None:
    with pytest.raises(UsageError, match="Invalid tool name"):
        trimcp.Server("a").tool(name=name)(noop)


def test_a_name_may_be_long_and_hold_some_marks() -> None:
    server = trimcp.Server("a")
    server.tool(name="a" * 128)(noop)
    server.tool(name="A-z_0.9")(noop)
    assert len(server._declarations.tools) == 2


def test_a_tool_is_declared_once() -> None:
    server = trimcp.Server("a")
    assert server.tool(noop) is noop
    with pytest.raises(UsageError, match="Duplicate tool name"):
        server.tool(noop)
    server.remove_tool("noop")
    with pytest.raises(UsageError, match="Unknown tool 'noop'"):
        server.remove_tool("noop")
    server.tool(noop)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"limit": 0}, "limit"),
        ({"input_schema": {"type": "array"}}, "object"),
        ({"input_schema": {"type": "object", "$ref": "http://elsewhere.example/x"}}, "schema"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        trimcp.Server("a").tool(**options)(noop)


def test_what_cannot_be_a_tool_is_refused_with_what_to_do() -> None:
    async def starred(*args: int) -> None: ...

    async def keywords(**kwargs: int) -> None: ...

    async def positional(a: int, /) -> None: ...

    async def generator() -> AsyncIterator[int]:
        yield 1

    def no_form(a: MockClock) -> None: ...

    server = trimcp.Server("a")
    for function, words in [
        (starred, "list"),
        (keywords, "dict"),
        (positional, "remove the `/`"),
        (generator, "generator"),
        (lambda: 1, "name="),
        (Thing, "class"),
        (5, "callable"),
        (Thing.bound, "method"),
        (no_form, "no JSON form"),
    ]:
        with pytest.raises(UsageError, match=words):
            server.tool(function)  # type: ignore[type-var]
    assert len(server._declarations.tools) == 0


async def test_bound_methods_and_callable_objects_are_tools(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.tool(Thing().bound)
    server.tool(name="thing")(Thing())
    async with trimcp.connect(server) as client:
        assert (await client.call_tool("bound")).structured == {"result": 1}
        assert (await client.call_tool("thing", {"a": 5})).structured == {"result": 5}


async def test_while_it_runs_a_server_gets_no_capability_that_it_has_not_told_of(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    async with server.running():
        with pytest.raises(UsageError, match="before the server runs"):
            server.tool(noop)
        with pytest.raises(UsageError, match="before the server runs"):
            server.middleware(lambda ctx, params, proceed: proceed(params))
    server.tool(noop)
    async with server.running():
        server.remove_tool("noop")
        server.tool(noop)  # what it began with, it keeps


async def test_a_server_without_tools_has_no_such_methods(autojump_clock: MockClock) -> None:
    for version in ERAS:
        async with served(trimcp.Server("a"), version) as peer:
            assert (await peer.ask(peer.request(1, "tools/list")))["error"]["code"] == -32601


# --- a run ----------------------------------------------------------------------------


async def test_the_lifespan_is_entered_before_and_left_after_all_requests_of_a_run(autojump_clock: MockClock) -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(server: trimcp.Server) -> AsyncIterator[dict[str, int]]:
        happened.append(f"enter {server.name}")
        try:
            yield {"count": 40}
        finally:
            happened.append("leave")

    server = trimcp.Server("a", lifespan=lifespan)

    @server.tool
    async def count(ctx: trimcp.Context) -> int:
        happened.append("call")
        ctx.state["count"] += 1
        return int(ctx.state["count"])

    async with trimcp.connect(server) as client:
        assert (await client.call_tool("count")).structured == {"result": 41}
    assert happened == ["enter a", "call", "leave"]
    # Each connection is a run of its own, unless a run is shared.
    happened.clear()
    async with server.running(), trimcp.connect(server) as one, trimcp.connect(server, revision="2025-06-18") as two:
        assert (await one.call_tool("count", returns=int)) == 41
        assert (await two.call_tool("count", returns=int)) == 42
    assert happened == ["enter a", "call", "call", "leave"]


async def test_a_lifespan_that_fails_fails_serving(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def lifespan(server: trimcp.Server) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with trimcp.connect(trimcp.Server("a", lifespan=lifespan)):
            pytest.fail("connected")


async def test_without_a_lifespan_the_state_is_none(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def state(ctx: trimcp.Context) -> bool:
        return ctx.state is None

    async with trimcp.connect(server) as client:
        assert await client.call_tool("state", returns=bool) is True


async def test_a_run_is_shared_once(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    async with server.running():
        with pytest.raises(UsageError, match=r"running\(\) already"):
            async with server.running():
                pytest.fail("entered")
    async with server.running():
        pass
    assert server.tree() == ()


# --- a look at it ---------------------------------------------------------------------


async def test_the_tree_shows_what_is_in_flight_and_what_waits(autojump_clock: MockClock) -> None:
    server = trimcp.Server("looked-at", limits=Limits(session_requests=2, server_requests=10))

    @server.tool
    async def wait(ctx: trimcp.Context) -> str:
        await ctx.ping()
        return "x"

    async with served(server, LEGACY[3]) as peer:
        await peer.send(*(peer.call(f"id-{n}", "wait") for n in range(3)))
        await wait_all_tasks_blocked()
        await trio.sleep(7)
        [run] = server.tree()
        assert (run.server, run.places, run.places_free, run.tools) == ("looked-at", 10, 8, 1)
        [session] = run.sessions
        assert session.revision == LEGACY[3]
        assert session.phase == "ready"
        assert session.calls == 2
        assert session.waiting == 1
        assert [(r.id, r.method, r.state, r.age) for r in session.requests] == [
            ("id-0", "tools/call", "running", pytest.approx(7)),
            ("id-1", "tools/call", "running", pytest.approx(7)),
            ("id-2", "tools/call", "waiting", pytest.approx(7)),
        ]
        drawn = str(run)
        for word in ("looked-at", "2 of 10 places", "tools/call", "'id-2'", "7.000 s", "waiting", LEGACY[3]):
            assert word in drawn
    assert server.tree() == ()


async def test_each_run_has_a_tree_of_its_own(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    async with trimcp.connect(server), trimcp.connect(server):
        assert len(server.tree()) == 2
    async with server.running(), trimcp.connect(server), trimcp.connect(server):
        assert [len(run.sessions) for run in server.tree()] == [2]


async def test_an_idle_session_has_four_tasks_at_most(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.tool(noop)
    async with server.running(), trimcp.connect(server) as client:
        await client.call_tool("noop")
        await wait_all_tasks_blocked()
        assert server.tree()[0].sessions[0].tasks <= 4
        assert client.session.snapshot().tasks <= 4
