"""Progress at the client: in order, all before the result, without effect on other calls."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.test_calls import Outcome, pair
from tests.session.peer import ERAS, Logged, notification, result
from trimcp import Limits


def report(token: Any, progress: Any, **more: Any) -> dict[str, Any]:
    return notification("notifications/progress", {"progressToken": token, "progress": progress, **more})


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("is_async", [False, True])
async def test_reports_come_in_order_and_all_before_the_result(
    version: str, is_async: bool, autojump_clock: MockClock
) -> None:
    heard: list[Any] = []

    def listen(*report: Any) -> None:
        heard.append(report)

    async def listen_slowly(*report: Any) -> None:
        await trio.sleep(0.1)
        heard.append(report)

    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y", on_progress=listen_slowly if is_async else listen)
        asked = await peer.receive()
        token = asked["params"]["_meta"]["progressToken"]
        await peer.send(
            report(token, 1, total=3, message="one"),
            report(token, 2.5, total=3),
            report(token, 3),
            result(asked["id"], {"n": 1}),
            report(token, 4),
        )
        assert (await call.done()).value == {"n": 1}
        assert heard == [(1, 3, "one"), (2.5, 3, None), (3, None, None)]


@pytest.mark.parametrize("version", ERAS)
async def test_reports_that_make_no_sense_are_ignored(version: str, logged: Logged, autojump_clock: MockClock) -> None:
    heard: list[float] = []
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y", on_progress=lambda p, t, m: heard.append(p))
        asked = await peer.receive()
        token = asked["params"]["_meta"]["progressToken"]
        await peer.send(
            report(token, 5),
            report(token, 5),
            report(token, 4),
            report(token, "6"),
            report(token, True),
            report(token, None),
            report(token, 6, total="x"),
            report(str(token), 7),
            report(99, 7),
            report(None, 7),
            report(1.5, 7),
            notification("notifications/progress"),
            notification("notifications/progress", {}),
            report(token, 8, message={"not": "text"}),
            result(asked["id"]),
        )
        await call.done()
        assert heard == [5, 8]
        assert len(logged.of("progress.ignored")) == 12


@pytest.mark.parametrize("version", ERAS)
async def test_a_slow_callback_misses_reports_but_not_the_last(version: str, autojump_clock: MockClock) -> None:
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)
        await trio.sleep(1)

    limits = Limits(progress_backlog=5, progress_burst=10_000)
    async with pair(version, limits=limits) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y", on_progress=listen, timeout=1000)
        other = Outcome(nursery, client.request, "other")
        asked = await peer.receive()
        beside = await peer.receive()
        if asked["method"] == "other":
            asked, beside = beside, asked
        token = asked["params"]["_meta"]["progressToken"]
        await peer.send(*(report(token, n) for n in range(1, 1001)))
        await peer.send(result(asked["id"]), result(beside["id"]))
        before = trio.current_time()
        assert (await other.done()).value == {}  # no caller waits for that callback
        assert trio.current_time() == before
        assert (await call.done()).value == {}
        assert len(heard) <= 6
        assert heard == sorted(heard)
        assert heard[-1] == 1000


async def test_a_flood_of_reports_is_limited_in_rate(autojump_clock: MockClock) -> None:
    heard: list[float] = []
    limits = Limits(progress_rate=10, progress_burst=5)
    async with pair(limits=limits) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y", on_progress=lambda p, t, m: heard.append(p), timeout=1000)
        asked = await peer.receive()
        token = asked["params"]["_meta"]["progressToken"]
        for n in range(1, 1001):
            await peer.send(report(token, n))
            if n % 100 == 0:
                await trio.sleep(0.5)
        await peer.send(result(asked["id"]))
        await call.done()
        assert heard == sorted(heard)
        assert heard[-1] == 1000


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callback_that_raises_fails_its_own_call_alone(
    version: str, is_async: bool, autojump_clock: MockClock
) -> None:
    def listen(*report: Any) -> None:
        raise trimcp.UsageError("a bug of the caller's")

    async def listen_async(*report: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise trimcp.UsageError("a bug of the caller's")

    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        bad = Outcome(nursery, client.request, "bad", on_progress=listen_async if is_async else listen)
        bad_asked = await peer.receive()
        good = Outcome(nursery, client.request, "good", on_progress=lambda p, t, m: None)
        good_asked = await peer.receive()
        await peer.send(
            report(bad_asked["params"]["_meta"]["progressToken"], 1),
            report(good_asked["params"]["_meta"]["progressToken"], 1),
        )
        assert isinstance((await bad.done()).error, trimcp.UsageError)
        notice = await peer.receive()
        assert (notice["method"], notice["params"]["requestId"]) == ("notifications/cancelled", bad_asked["id"])
        await peer.send(result(bad_asked["id"]), result(good_asked["id"]))
        assert (await good.done()).value == {}


@pytest.mark.parametrize("version", ERAS)
async def test_a_callback_may_call_the_server_itself(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    heard: list[str] = []

    @server.tool
    async def work(ctx: trimcp.Context) -> str:
        for step in (1, 2, 3):
            await ctx.progress(step)
        return "done"

    @server.tool
    async def beside(n: int) -> str:
        return f"beside {n}"

    async with trimcp.connect(server, revision=version) as client:

        async def listen(progress: float, total: float | None, message: str | None) -> None:
            heard.append((await client.call_tool("beside", {"n": int(progress)})).text)

        with trio.fail_after(100):
            assert (await client.call_tool("work", on_progress=listen)).text == "done"
        assert heard == ["beside 1", "beside 2", "beside 3"]


async def test_without_a_callback_no_token_is_sent(autojump_clock: MockClock) -> None:
    async with pair("2025-11-25") as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y", {"a": 1})
        asked = await peer.receive()
        assert asked["params"] == {"a": 1}
        # A report for it belongs to no call.
        await peer.send(report(asked["id"], 1), result(asked["id"]))
        assert (await call.done()).value == {}
        await wait_all_tasks_blocked()


async def test_the_callers_own_metadata_is_kept(autojump_clock: MockClock) -> None:
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(
            nursery, client.call_tool, "x", {"a": 1}, meta={"example.com/a": 5}, on_progress=lambda p, t, m: None
        )
        asked = await peer.receive()
        meta = asked["params"]["_meta"]
        assert meta["example.com/a"] == 5
        assert meta["progressToken"] == asked["id"]
        assert "io.modelcontextprotocol/protocolVersion" in meta
        await peer.send(result(asked["id"], {"resultType": "complete", "content": []}))
        assert (await call.done()).value.text == ""


@pytest.mark.parametrize("version", ERAS)
async def test_an_answer_behind_reports_counts_though_the_server_leaves_right_behind_it(
    version: str, autojump_clock: MockClock
) -> None:
    """Reports and answer wait for the ProgressTracker when the end of input is read."""
    seen: list[float] = []
    async with pair(version) as (client, peer):
        outcome: list[Any] = []

        async def call() -> None:
            outcome.append(await client.request("x/y", on_progress=lambda progress, *_: seen.append(progress)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            asked = await peer.receive()
            token = asked["params"]["_meta"]["progressToken"]
            reports = [
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": n},
                }
                for n in range(1, 6)
            ]
            await peer.send(*reports, {"jsonrpc": "2.0", "id": asked["id"], "result": {"resultType": "complete"}})
            await peer.duplex.aclose()
        assert outcome == [{"resultType": "complete"}]
        assert seen == [1, 2, 3, 4, 5]
