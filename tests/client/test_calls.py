"""Calls: answers of every kind, deadlines, cancels, and a server that leaves in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ERAS, MODERN, Logged, Peer, discovered, error, notification, result
from trimcp import Client, Limits, Timeouts
from trimcp.transports.memory import memory_pair


@asynccontextmanager
async def pair(version: str = MODERN, **options: Any) -> AsyncIterator[tuple[Client, Peer]]:
    """A client, and the server's end of its connection by hand."""
    ours, theirs = memory_pair(capacity=1 << 20)
    peer = Peer(theirs, version)

    async def open_by_hand() -> None:
        opening = await peer.receive()
        if version == MODERN:
            await peer.send(discovered(opening["id"]))
        else:
            server = {"name": "raw", "version": "1"}
            await peer.send(
                result(opening["id"], {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server})
            )
            await peer.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_by_hand)
        async with trimcp.connect(ours, revision=version, **options) as client:
            await wait_all_tasks_blocked()
            yield client, peer


class Outcome:
    """A call in a task of its own, and what came of it."""

    def __init__(self, nursery: trio.Nursery, work: Any, *args: Any, **options: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.scope = trio.CancelScope()
        self._done = trio.Event()
        nursery.start_soon(self._run, work, args, options)

    async def _run(self, work: Any, args: Any, options: Any) -> None:
        with self.scope:
            try:
                self.value = await work(*args, **options)
            except trimcp.TrimcpError as exc:
                self.error = exc
        self._done.set()

    async def done(self) -> Outcome:
        with trio.fail_after(1000):
            await self._done.wait()
        return self


@pytest.mark.parametrize("version", ERAS)
async def test_answers_find_their_calls_in_any_order(version: str, autojump_clock: MockClock) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        calls = [Outcome(nursery, client.request, "x/y", {"n": n}) for n in range(50)]
        asked = [await peer.receive() for _ in range(50)]
        await peer.send(*(result(a["id"], {"n": a["params"]["n"]}) for a in reversed(asked)))
        for n, call in enumerate(calls):
            assert (await call.done()).value == {"n": n}
        assert len({a["id"] for a in asked}) == 50


@pytest.mark.parametrize("version", ERAS)
async def test_an_error_is_raised_to_its_caller_alone(version: str, autojump_clock: MockClock) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        bad, good = (Outcome(nursery, client.request, m) for m in ("bad", "good"))
        for asked in (await peer.receive(), await peer.receive()):
            if asked["method"] == "bad":
                await peer.send(error(asked["id"], -5, "no", data={"a": None}))
            else:
                await peer.send(result(asked["id"]))
        failure = (await bad.done()).error
        assert isinstance(failure, trimcp.RequestFailed)
        assert (failure.code, failure.message, failure.data) == (-5, "no", {"a": None})
        assert (await good.done()).value == {}


@pytest.mark.parametrize(
    "answer",
    [
        {"result": []},
        {"result": 5},
        {"result": None},
        {"result": {}, "error": {"code": 1, "message": "x"}},
        {"error": "x"},
        {"error": {"code": "1", "message": "x"}},
        {"error": {"code": 1}},
        {"error": {"code": True, "message": "x"}},
    ],
)
async def test_an_answer_of_an_invalid_shape_fails_its_call(answer: dict[str, Any], autojump_clock: MockClock) -> None:
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y")
        await peer.send({"jsonrpc": "2.0", "id": (await peer.receive())["id"], **answer})
        assert isinstance((await call.done()).error, trimcp.InvalidPayload)


@pytest.mark.parametrize("version", ERAS)
async def test_answers_for_nobody_or_twice_or_garbage_are_ignored(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y")
        id = (await peer.receive())["id"]
        await peer.send(
            result(9999),
            error(None, -32601),
            b"garbage",
            b"[1]",
            [result(id, {"in": "a batch"})],
            {"jsonrpc": "2.0", "id": 8888, "result": 5},
            notification("notifications/unknown"),
            notification("notifications/cancelled", {"requestId": 5}),
            {"jsonrpc": "2.0", "method": 7},
        )
        assert await peer.settled() == []  # a client sends no complaint
        await peer.send(result(id, {"n": 1}), result(id, {"n": 2}))
        assert (await call.done()).value == {"n": 1}
        await wait_all_tasks_blocked()
        assert len(logged.of("response.ignored")) == 4


async def test_what_a_legacy_server_may_not_ask_is_refused(autojump_clock: MockClock) -> None:
    async with pair("2025-11-25") as (_, peer):
        assert (await peer.ask({"jsonrpc": "2.0", "id": 1, "method": "ping"}))["result"] == {}
        for method in ("sampling/createMessage", "roots/list", "tools/list", "what/ever"):
            answer = await peer.ask({"jsonrpc": "2.0", "id": method, "method": method, "params": {}})
            assert (answer["id"], answer["error"]["code"]) == (method, -32601)


async def test_what_a_modern_server_asks_is_ignored(autojump_clock: MockClock) -> None:
    async with pair() as (client, peer):
        for method in ("ping", "sampling/createMessage", "what/ever"):
            await peer.send({"jsonrpc": "2.0", "id": method, "method": method, "params": {}})
        assert await peer.settled() == []
        assert client.session.end is None


# --- deadlines ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_call_has_a_default_deadline_and_the_server_is_told(version: str, autojump_clock: MockClock) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        before = trio.current_time()
        call = Outcome(nursery, client.request, "x/y")
        asked = await peer.receive()
        failure = (await call.done()).error
        assert isinstance(failure, trimcp.RequestTimedOut)
        assert "60 s" in str(failure)
        assert trio.current_time() - before == pytest.approx(60)
        notice = await peer.receive()
        assert (notice["method"], notice["params"]["requestId"]) == ("notifications/cancelled", asked["id"])
        await peer.send(result(asked["id"]))  # late
        again = Outcome(nursery, client.request, "x/y", timeout=5)
        assert isinstance((await again.done()).error, trimcp.RequestTimedOut)
        assert trio.current_time() - before == pytest.approx(65)


async def test_who_sets_no_deadline_waits(autojump_clock: MockClock) -> None:
    async with pair(timeouts=Timeouts(request=None, most=None)) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y")
        asked = await peer.receive()
        await trio.sleep(80_000)
        await peer.send(result(asked["id"]))
        assert (await call.done()).value == {}


@pytest.mark.parametrize("version", ERAS)
async def test_progress_gives_more_time_up_to_a_maximum(version: str, autojump_clock: MockClock) -> None:
    timeouts = Timeouts(request=10, most=35)
    async with pair(version, timeouts=timeouts) as (client, peer), trio.open_nursery() as nursery:
        heard: list[float] = []
        before = trio.current_time()
        call = Outcome(nursery, client.request, "x/y", on_progress=lambda p, t, m: heard.append(p))
        token = (await peer.receive())["params"]["_meta"]["progressToken"]
        for step in range(1, 10):
            await trio.sleep(8)
            await peer.send(notification("notifications/progress", {"progressToken": token, "progress": step}))
        failure = (await call.done()).error
        assert isinstance(failure, trimcp.RequestTimedOut)
        assert "35 s" in str(failure)
        assert heard == [1, 2, 3, 4]
        # Where nothing is heard, the shorter time counts.
        silent = Outcome(nursery, client.request, "x/y", on_progress=lambda p, t, m: None)
        before = trio.current_time()
        assert isinstance((await silent.done()).error, trimcp.RequestTimedOut)
        assert trio.current_time() - before == pytest.approx(10)


@pytest.mark.parametrize("version", ERAS)
async def test_leaving_a_call_by_a_scope_of_trio_tells_the_server_at_once(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        before = trio.current_time()
        with trio.move_on_after(2) as scope:
            await client.call_tool("x")
        assert scope.cancelled_caught
        assert trio.current_time() - before == pytest.approx(2)
        asked, notice = await peer.settled()
        assert (notice["method"], notice["params"]["requestId"]) == ("notifications/cancelled", asked["id"])
        await peer.send(result(asked["id"], {"content": []}))
        await wait_all_tasks_blocked()
        assert [line["why"] for line in logged.of("response.ignored")] == ["it is late"]
        # An answer that is there already is returned, and nothing is cancelled.
        call = Outcome(nursery, client.request, "x/y")
        asked = await peer.receive()
        await peer.send(result(asked["id"], {"n": 1}))
        assert (await call.done()).value == {"n": 1}
        call.scope.cancel()
        assert await peer.settled() == []
        assert client.session.snapshot().calls == 0


async def test_a_bound_on_calls_makes_callers_wait_their_turn(autojump_clock: MockClock) -> None:
    async with pair(limits=Limits(calls=2)) as (client, peer), trio.open_nursery() as nursery:
        calls = [Outcome(nursery, client.request, "x/y") for _ in range(5)]
        asked = await peer.settled()
        assert len(asked) == 2
        await peer.send(result(asked[0]["id"]))
        assert len(await peer.settled()) == 1
        waiting = [call for call in calls if not call._done.is_set()]
        waiting[-1].scope.cancel()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


# --- ends -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_server_that_leaves_in_mid_call_fails_every_call_at_once(
    version: str, autojump_clock: MockClock
) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        calls = [Outcome(nursery, client.request, "x/y") for _ in range(10)]
        await peer.settled()
        before = trio.current_time()
        await peer.duplex.aclose()
        failures = [(await call.done()).error for call in calls]
        assert all(isinstance(failure, trimcp.ConnectionLost) for failure in failures)
        assert len({id(failure) for failure in failures}) == 10  # each caller has an exception of its own
        assert trio.current_time() == before
        with pytest.raises(trimcp.ConnectionLost):
            await client.ping()
        with pytest.raises(trimcp.ConnectionLost):
            client.notify("notifications/roots/list_changed")


@pytest.mark.parametrize("version", ERAS)
async def test_close_from_another_task_fails_what_waits(version: str, autojump_clock: MockClock) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        calls = [Outcome(nursery, client.request, "x/y") for _ in range(3)]
        await peer.settled()
        nursery.start_soon(close_later, client)
        for call in calls:
            assert isinstance((await call.done()).error, trimcp.ConnectionClosed)
        client.close()
        with pytest.raises(trimcp.ConnectionClosed):
            await client.call_tool("x")
        assert await peer.rest() == []


async def close_later(client: Client) -> None:
    await trio.sleep(1)
    client.close()


async def test_clients_close_in_any_order(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    async with trimcp.connect(server) as one, trimcp.connect(server) as two, trimcp.connect(server) as three:
        one.close()
        await two.ping()
        three.close()
        await two.ping()
        two.close()


class Mine(Exception):
    pass


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("failure", [Mine("x"), KeyError("k"), ExceptionGroup("g", [Mine("x")]), SystemExit(3)])
async def test_what_the_body_raises_leaves_as_itself(
    version: str, failure: BaseException, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    with pytest.raises(type(failure)) as caught:
        async with trimcp.connect(server, revision=version) as client:
            await client.ping()
            raise failure
    assert caught.value is failure


async def test_a_call_error_that_nobody_catches_leaves_as_itself(autojump_clock: MockClock) -> None:
    with pytest.raises(trimcp.RequestFailed, match="not found"):
        async with trimcp.connect(trimcp.Server("a")) as client:
            await client.call_tool("x")


async def test_a_client_that_is_cancelled_a_few_hundred_times_leaves_no_task(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def wait(ctx: trimcp.Context) -> str:
        await ctx.progress(1)
        await trio.sleep_forever()
        return "never"

    tasks = trio.lowlevel.current_statistics().tasks_living
    for n in range(200):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use_for_ever, server, ERAS[n % 2])
                for _ in range(n % 40):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert server.tree() == ()


async def use_for_ever(server: trimcp.Server, version: str) -> None:
    async with trimcp.connect(server, revision=version) as client, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: client.call_tool("wait", on_progress=lambda p, t, m: None))
