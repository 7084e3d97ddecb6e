"""Progress of a handler, as the peer sees it: in order, before the answer, and no faster than allowed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, ERAS, Logged, cancelled, served
from trimcp import Limits


def server_with(work: Any, **limits: Any) -> trimcp.Server:
    server = trimcp.Server("test", limits=Limits(**limits))
    server.tool(name="work")(work)
    return server


def reported(messages: list[Any]) -> list[float]:
    return [m["params"]["progress"] for m in messages if m.get("method") == "notifications/progress"]


@pytest.mark.parametrize("version", ALL)
async def test_progress_comes_in_order_and_before_the_answer(version: str, autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        for step in range(1, 6):
            await ctx.progress(step, 5, f"step {step}")
        return 5

    async with served(server_with(work), version) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        messages = await peer.settled()
        assert [m["params"] for m in messages[:-1]] == [
            {
                "progressToken": "t",
                "progress": step,
                "total": 5,
                **({} if version == "2024-11-05" else {"message": f"step {step}"}),
            }
            for step in range(1, 6)
        ]
        assert messages[-1]["id"] == 1


@pytest.mark.parametrize("version", ERAS)
async def test_without_a_token_nothing_is_sent(version: str, autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        await ctx.progress(1)
        return 5

    async with served(server_with(work), version) as peer:
        await peer.send(peer.call(1, "work"))
        assert [m["id"] for m in await peer.settled()] == [1]


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("token", [0, 7, "", "ü", "1"])
async def test_a_token_keeps_its_type(version: str, token: Any, autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        await ctx.progress(0.5)
        return 5

    async with served(server_with(work), version) as peer:
        said = await peer.ask(peer.call(1, "work", progressToken=token))
        assert (type(said["params"]["progressToken"]), said["params"]["progressToken"]) == (type(token), token)
        assert set(said["params"]) == {"progressToken", "progress"}


async def test_two_requests_with_one_token_both_report(autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        await ctx.progress(1)
        return 5

    async with served(server_with(work)) as peer:
        await peer.send(*(peer.call(n, "work", progressToken="same") for n in range(2)))
        messages = await peer.settled()
        assert reported(messages) == [1, 1]
        assert {m["id"] for m in messages if "id" in m} == {0, 1}


@pytest.mark.parametrize("version", ERAS)
async def test_progress_that_does_not_increase_is_dropped(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async def work(ctx: trimcp.Context) -> int:
        for value in (2, 1, 2, 2.5, float("nan"), -1, 3):
            await ctx.progress(value)
        return 5

    async with served(server_with(work), version) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        assert reported(await peer.settled()) == [2, 2.5, 3]
        assert len(logged.of("progress.ignored")) == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_progress_that_is_no_number_of_json_is_dropped(value: float, autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        await ctx.progress(value)
        await ctx.progress(1, value)
        return 5

    async with served(server_with(work)) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        messages = await peer.settled()
        assert all(type(m["params"]["progress"]) is int for m in messages[:-1])
        assert all(type(m["params"].get("total", 0)) is int for m in messages[:-1])
        assert "result" in messages[-1]


@pytest.mark.parametrize("version", ERAS)
async def test_progress_is_limited_in_rate_and_the_last_report_always_arrives(
    version: str, autojump_clock: MockClock
) -> None:
    async def work(ctx: trimcp.Context) -> int:
        for step in range(1, 1001):
            await ctx.progress(step, 1000)
            if step % 250 == 0:
                await trio.sleep(1)
        await ctx.progress(1001)
        await ctx.progress(1002)
        return 5

    async with served(server_with(work, progress_rate=10, progress_burst=20), version) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        messages: list[Any] = []
        while not messages or "id" not in messages[-1]:
            messages.append(await peer.receive())
        steps = reported(messages)
        assert steps == sorted(steps)
        assert 20 <= len(steps) <= 20 + 4 * 10 + 1
        assert steps[-1] == 1002


@pytest.mark.parametrize("version", ERAS)
async def test_after_the_answer_no_progress_is_possible(version: str, autojump_clock: MockClock) -> None:
    kept: list[trimcp.Context] = []

    async def work(ctx: trimcp.Context) -> int:
        kept.append(ctx)
        await ctx.progress(1)
        return 5

    async with served(server_with(work), version) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        assert reported(await peer.settled()) == [1]
        await kept[0].progress(2)
        assert await peer.settled() == []


@pytest.mark.parametrize("version", ERAS)
async def test_after_a_cancel_no_progress_is_possible(version: str, autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        try:
            await trio.sleep_forever()
        finally:
            with ctx.cleaning_up():
                await ctx.progress(5)
        return 5

    async with served(server_with(work), version) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(1))
        await trio.sleep(10)
        assert await peer.settled() == []


async def test_an_error_takes_along_the_progress_before_it(autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        for step in range(100):
            await ctx.progress(step)
        raise trimcp.RequestFailed(-1, "no")

    async with served(server_with(work, progress_burst=5)) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        messages = await peer.settled()
        assert reported(messages) == [0, 1, 2, 3, 4, 99]
        assert messages[-1]["error"]["code"] == -1


async def test_tracking_reports_after_each_item(autojump_clock: MockClock) -> None:
    async def stream() -> Any:
        for letter in "ab":
            yield letter

    async def work(ctx: trimcp.Context) -> list[str]:
        seen = [n async for n in ctx.track(["x", "y"], message="did {}")]
        seen += [n async for n in ctx.track((n for n in ("z",)), total=9)]
        return seen

    async def endless(ctx: trimcp.Context) -> list[str]:
        return [letter async for letter in ctx.track(stream())]

    server = server_with(work)
    server.tool(endless)
    async with served(server) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"))
        *reports, answer = await peer.settled()
        assert [m["params"] for m in reports] == [
            {"progressToken": "t", "progress": 1, "total": 2, "message": "did x"},
            {"progressToken": "t", "progress": 2, "total": 2, "message": "did y"},
        ]
        assert answer["result"]["structuredContent"] == {"result": ["x", "y", "z"]}
        await peer.send(peer.call(2, "endless", progressToken="t"))
        *reports, _ = await peer.settled()
        assert [m["params"] for m in reports] == [{"progressToken": "t", "progress": n} for n in (1, 2)]


async def test_while_the_peer_does_not_read_the_newest_report_replaces_the_one_before(
    autojump_clock: MockClock,
) -> None:
    go = trio.Event()

    async def work(ctx: trimcp.Context) -> int:
        await go.wait()
        for step in range(1, 1001):
            await ctx.progress(step, message="x" * 100)
        return 5

    server = server_with(work, progress_burst=10_000)

    @server.tool
    async def block() -> str:
        return "x" * 20_000

    async with served(server, capacity=4096) as peer:
        await peer.send(peer.call(1, "work", progressToken="t"), peer.call(2, "block"))
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        messages = await peer.settled()
        assert [m["id"] for m in messages if "id" in m] == [2, 1]
        assert reported(messages) == [1000]


@pytest.mark.parametrize(
    "report",
    [(10**4300,), (math.inf,), (1, 10**4300), (1, None, "\ud800"), ("x",)],
    ids=["long", "infinity", "long total", "surrogate", "text"],
)
async def test_a_report_that_json_cannot_write_is_dropped_and_its_session_goes_on(
    report: tuple[Any, ...], autojump_clock: MockClock
) -> None:
    async def work(ctx: trimcp.Context) -> int:
        await ctx.progress(*report)
        return 5

    async with served(server_with(work)) as peer:
        for id in (1, 2):
            await peer.send(peer.call(id, "work", progressToken="t"))
            assert [m["id"] for m in await peer.settled()] == [id]


@pytest.mark.parametrize("token", [{}, {"progressToken": "t"}], ids=["not asked for", "asked for"])
async def test_a_report_notices_that_its_scope_is_cancelled(token: Any, autojump_clock: MockClock) -> None:
    caught: list[bool] = []

    async def work(ctx: trimcp.Context) -> int:
        for step in range(1, 4):
            with trio.CancelScope() as scope:
                scope.cancel()
                await ctx.progress(step)
            caught.append(scope.cancelled_caught)
        return 5

    async with served(server_with(work)) as peer:
        await peer.send(peer.call(1, "work", **token))
        assert reported(await peer.settled()) == ([1, 2, 3] if token else [])
        assert caught == [True, True, True]


@pytest.mark.parametrize("token", [{}, {"progressToken": "t"}], ids=["not asked for", "asked for"])
async def test_other_tasks_get_a_turn_between_many_reports(token: Any, autojump_clock: MockClock) -> None:
    async def work(ctx: trimcp.Context) -> int:
        turn, had_turn = trio.Event(), False

        async def other() -> None:
            turn.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for step in range(100):
                await ctx.progress(step)
            had_turn = turn.is_set()
        return int(had_turn)

    async with served(server_with(work)) as peer:
        await peer.send(peer.call(1, "work", **token))
        *_, answer = await peer.settled()
        assert answer["result"]["structuredContent"] == {"result": 1}
