"""Ends: of the input, by a drain, at a deadline; what was accepted is answered, and what was not is said."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ERAS, MODERN, Peer, cancelled, result, served
from trimcp import CancelReason, DrainReport, Limits
from trimcp.transports.lines import LineDuplex
from trimcp.transports.memory import memory_pair


class Bench:
    """A server whose handlers take their time, and note how they end."""

    def __init__(self, **limits: Any) -> None:
        self.server = trimcp.Server("test", limits=Limits(**limits))
        self.reasons: list[CancelReason | None] = []

        @self.server.tool
        async def slow(ctx: trimcp.Context, seconds: float = 1e9) -> str:
            try:
                await trio.sleep(seconds)
            except trio.Cancelled:
                self.reasons.append(ctx.cancel_reason)
                raise
            return "done"

        @self.server.tool
        async def stubborn() -> str:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)
            return "done"

        @self.server.tool
        async def check(ctx: trimcp.Context) -> str:
            await ctx.ping()
            return "there"


@pytest.mark.parametrize("version", ERAS)
async def test_after_the_end_of_input_everything_accepted_is_answered(version: str, autojump_clock: MockClock) -> None:
    bench = Bench(session_requests=4)
    async with served(bench.server, version) as peer:
        await peer.send(*(peer.call(n, "slow", {"seconds": 1}) for n in range(10)))
        await peer.end()
        answers = await peer.rest()
        assert {a["id"] for a in answers if a["result"]["content"][0]["text"] == "done"} == set(range(10))
        assert peer.session is not None
        assert isinstance(peer.session.end, trimcp.ConnectionLost)


@pytest.mark.parametrize("version", ERAS)
async def test_a_last_line_without_a_newline_is_answered_too(version: str, autojump_clock: MockClock) -> None:
    async with served(Bench().server, version) as peer:
        await peer.send_bytes(json.dumps(peer.call(1, "slow", {"seconds": 0})).encode())
        await peer.end()
        assert [a["id"] for a in await peer.rest()] == [1]


@pytest.mark.parametrize("version", ERAS)
async def test_what_does_not_end_within_the_grace_is_answered_with_the_reason(
    version: str, autojump_clock: MockClock
) -> None:
    bench = Bench(grace=10)
    async with served(bench.server, version) as peer:
        before = trio.current_time()
        await peer.send(peer.call(1, "slow"), peer.call(2, "slow", {"seconds": 9}))
        await peer.end()
        first, second = await peer.rest()
        assert first["id"] == 2
        assert (second["id"], second["error"]["code"]) == (1, -31002)
        assert second["error"]["data"] == {"reason": "shutdown"}
        assert bench.reasons == [CancelReason.SHUTDOWN]
        assert trio.current_time() - before == pytest.approx(10)


async def test_a_handler_that_asks_the_client_after_the_end_of_input_learns_so(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, "2025-11-25") as peer:
        await peer.send(peer.call(1, "check"), peer.call(2, "slow", {"seconds": 2}))
        await wait_all_tasks_blocked()
        before = trio.current_time()
        await peer.end()
        messages = await peer.rest()
        assert [m.get("method") for m in messages] == ["ping", None, None]
        assert (messages[1]["id"], messages[1]["result"]["isError"]) == (1, True)
        assert messages[2]["id"] == 2
        assert trio.current_time() - before == pytest.approx(2)


async def test_the_end_of_input_with_nothing_in_flight_ends_at_once(autojump_clock: MockClock) -> None:
    async with served(Bench().server) as peer:
        before = trio.current_time()
        await peer.end()
        assert await peer.rest() == []
        assert trio.current_time() == before


# --- Server.drain ---------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_drain_refuses_new_work_and_goes_on_with_the_old(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    reports: list[DrainReport] = []

    async def drain() -> None:
        reports.append(await bench.server.drain(100))

    async with served(bench.server, version) as peer, trio.open_nursery() as nursery:
        await peer.send(*(peer.call(n, "slow", {"seconds": n}) for n in (5, 50)))
        await wait_all_tasks_blocked()
        nursery.start_soon(drain)
        await wait_all_tasks_blocked()
        assert bench.server.tree()[0].draining
        refused = await peer.ask(peer.call("new", "slow", {"seconds": 0}))
        assert (refused["id"], refused["error"]["code"]) == ("new", -31002)
        assert refused["error"]["data"] == {"reason": "draining", "retryAfterMs": 1000}
        ping = await peer.ask(peer.request("p", "server/discover" if version == MODERN else "ping"))
        assert (ping["id"], "result" in ping) == ("p", True)
        await peer.send(cancelled(50))  # cancels are taken, too
        assert [m["id"] for m in await peer.rest()] == [5]
    assert reports[0].lost == 0
    assert reports[0].finished + reports[0].cancelled == 2


async def test_answers_of_the_client_are_taken_while_draining(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, "2025-11-25") as peer, trio.open_nursery() as nursery:
        asked = await peer.ask(peer.call(1, "check"))
        nursery.start_soon(bench.server.drain, 100)
        await wait_all_tasks_blocked()
        await peer.send(result(asked["id"]))
        [answer] = await peer.rest()
        assert answer["result"]["content"][0]["text"] == "there"


@pytest.mark.parametrize("version", ERAS)
async def test_at_the_deadline_of_a_drain_the_rest_is_cancelled_and_counted(
    version: str, autojump_clock: MockClock
) -> None:
    bench = Bench(cleanup=5, session_requests=4)
    async with bench.server.running(), served(bench.server, version) as peer, served(bench.server, version) as other:
        await peer.send(
            peer.call(1, "slow", {"seconds": 9}),
            peer.call(2, "slow"),
            peer.call(3, "slow"),
            peer.call(4, "stubborn"),
            peer.call(5, "slow"),  # it waits for a place, and never gets one
        )
        await other.send(other.call(1, "slow", {"seconds": 1}))
        await wait_all_tasks_blocked()
        before = trio.current_time()
        report = await bench.server.drain(10)
        assert trio.current_time() - before == pytest.approx(15)
        assert report.finished + report.cancelled + report.lost == 6
        assert report.lost == 1
        assert report.finished in (2, 3)  # the fifth may have got the place of the first
        answers = {a["id"]: a for a in await peer.rest()}
        assert set(answers) == {1, 2, 3, 5}
        assert {a["error"]["code"] for n, a in answers.items() if n != 1} == {-31002}
        assert [a["id"] for a in await other.rest()] == [1]


async def test_a_drain_without_a_deadline_takes_the_grace_of_the_limits(autojump_clock: MockClock) -> None:
    bench = Bench(grace=7)
    async with served(bench.server) as peer:
        await peer.send(peer.call(1, "slow"))
        await wait_all_tasks_blocked()
        before = trio.current_time()
        assert await bench.server.drain() == DrainReport(0, 1, 0)
        assert trio.current_time() - before == pytest.approx(7)


async def test_a_peer_that_does_not_read_its_answers_is_counted_as_lost(autojump_clock: MockClock) -> None:
    bench = Bench(write_timeout=20)

    @bench.server.tool
    async def large() -> str:
        return "x" * 100_000

    async with bench.server.running(), served(bench.server, capacity=4096) as peer:
        await peer.send(peer.call(1, "large"))
        await wait_all_tasks_blocked()
        assert await bench.server.drain(5) == DrainReport(0, 0, 1)


async def test_a_peer_that_reads_a_little_now_and_then_does_not_hold_up_a_drain(autojump_clock: MockClock) -> None:
    bench = Bench(write_timeout=20)

    @bench.server.tool
    async def large() -> str:
        return "x" * 100_000

    async with bench.server.running(), served(bench.server, capacity=4096) as peer, trio.open_nursery() as nursery:
        stream = cast("LineDuplex", peer.duplex)._stream

        async def sip() -> None:
            while True:
                await trio.sleep(10)
                await stream.receive_some(100)

        await peer.send(peer.call(1, "large"))
        await wait_all_tasks_blocked()
        nursery.start_soon(sip)
        before = trio.current_time()
        assert await bench.server.drain(30) == DrainReport(0, 0, 1)
        assert trio.current_time() - before == pytest.approx(30)
        nursery.cancel_scope.cancel()


async def test_the_end_of_input_leaves_a_slow_peer_its_time(autojump_clock: MockClock) -> None:
    bench = Bench(write_timeout=20, grace=1)

    @bench.server.tool
    async def large() -> str:
        return "x" * 100_000

    async with served(bench.server, capacity=4096) as peer:
        await peer.send(peer.call(1, "large"))
        await peer.end()
        stream = cast("LineDuplex", peer.duplex)._stream
        size = 0
        while data := await stream.receive_some(1000):
            size += len(data)
            await trio.sleep(1)
        assert size > 100_000
    assert peer.session is not None
    assert peer.session.lost == 0


async def test_a_server_that_serves_nobody_drains_at_once(autojump_clock: MockClock) -> None:
    server = trimcp.Server("test")
    assert await server.drain() == DrainReport()
    async with served(server) as peer:
        assert await server.drain() == DrainReport()
        assert await peer.rest() == []


@pytest.mark.parametrize("first", ["the drain", "the end of input"])
async def test_a_drain_and_the_end_of_input_together_both_end(first: str, autojump_clock: MockClock) -> None:
    bench = Bench(grace=1000)
    async with bench.server.running(), served(bench.server) as peer:
        await peer.send(peer.call(1, "slow", {"seconds": 5}))
        await wait_all_tasks_blocked()
        before = trio.current_time()
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                if first == "the drain":
                    nursery.start_soon(bench.server.drain, 1000)
                    await wait_all_tasks_blocked()
                    await peer.end()
                else:
                    await peer.end()
                    await wait_all_tasks_blocked()
                    nursery.start_soon(bench.server.drain, 1000)
                assert [a["id"] for a in await peer.rest()] == [1]
        assert trio.current_time() - before == pytest.approx(5)


async def test_serving_returns_once_the_server_has_drained(autojump_clock: MockClock) -> None:
    server = trimcp.Server("test")
    async with served(server) as peer:
        await server.drain()
        with trio.fail_after(10):
            assert peer.session is not None
            await peer.session.wait_over()
            await wait_all_tasks_blocked()
        assert server.tree() == ()


# --- a cancelled scope ----------------------------------------------------------------


async def test_a_server_that_is_cancelled_a_few_hundred_times_leaves_no_task(autojump_clock: MockClock) -> None:
    server = trimcp.Server("test", limits=Limits(server_requests=3))
    ended = 0

    @server.tool
    async def wait(ctx: trimcp.Context) -> str:
        nonlocal ended
        try:
            await ctx.ping()
            await trio.sleep_forever()
        finally:
            ended += 1
        return "never"

    async with server.running() as running:
        tasks = trio.lowlevel.current_statistics().tasks_living
        for n in range(300):
            ours, theirs = memory_pair(capacity=4096)
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve, theirs)
                if n % 3:
                    peer = Peer(ours, "2025-11-25")
                    messages = [peer.initialize(), *(peer.call(id, "wait") for id in range(5))]
                    ours.try_send(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
                for _ in range(n % 7):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert not running.sessions
        assert running.admission.free == 3
        assert running.admission.sessions_waiting == 0
    assert ended > 0
