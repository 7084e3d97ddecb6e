"""Cancels: by the peer, by a deadline, at the wrong time; and handlers that take theirs to go."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, ERAS, Logged, Peer, cancelled, served
from trimcp import CancelReason, Limits


class Bench:
    """A server whose handlers wait, and note how they end."""

    def __init__(self, **limits: Any) -> None:
        self.server = trimcp.Server("test", limits=Limits(**limits))
        self.go = trio.Event()
        self.began: list[str] = []
        self.reasons: list[CancelReason | None] = []

        @self.server.tool
        async def echo(a: int) -> int:
            return a

        @self.server.tool
        async def wait(ctx: trimcp.Context, name: str = "") -> str:
            self.began.append(name)
            try:
                await self.go.wait()
            except trio.Cancelled:
                self.reasons.append(ctx.cancel_reason)
                raise
            assert ctx.cancel_reason is None
            return "done"

        @self.server.tool
        async def stubborn() -> str:
            with trio.CancelScope(shield=True):
                await self.go.wait()
            return "done in spite of it"

        @self.server.tool(timeout=10)
        async def limited(ctx: trimcp.Context, seconds: float) -> str:
            try:
                await trio.sleep(seconds)
            except trio.Cancelled:
                self.reasons.append(ctx.cancel_reason)
                raise
            return "done"


async def still_works(peer: Peer) -> bool:
    answer = await peer.ask(peer.call("last", "echo", {"a": 3}))
    return bool(answer["id"] == "last" and answer["result"]["content"][0]["text"] == "3")


@pytest.mark.parametrize("version", ALL)
async def test_a_request_that_the_peer_cancels_gets_no_answer(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, version) as peer:
        await peer.send(peer.call(1, "wait"))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(1, reason="changed my mind"))
        assert await peer.settled() == []
        assert bench.reasons == [CancelReason.CANCELLED]
        assert peer.session is not None
        assert peer.session.snapshot().requests == ()
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_a_cancel_in_the_same_read_overtakes_its_request(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, version) as peer:
        await peer.send(peer.call(1, "wait"), cancelled(1))
        assert await peer.settled() == []
        assert bench.began == []  # it never began
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_a_cancel_ends_a_request_that_still_waits_for_a_place(version: str, autojump_clock: MockClock) -> None:
    bench = Bench(session_requests=1)
    async with served(bench.server, version) as peer:
        await peer.send(*(peer.call(n, "wait", {"name": str(n)}) for n in range(4)))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(2))
        assert await peer.settled() == []
        bench.go.set()
        assert [a["id"] for a in await peer.settled()] == [0, 1, 3]
        assert bench.began == ["0", "1", "3"]


@pytest.mark.parametrize("version", ERAS)
async def test_a_cancel_that_crosses_its_answer_is_ignored(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    bench = Bench()
    async with served(bench.server, version) as peer:
        assert (await peer.ask(peer.call(1, "echo", {"a": 1})))["id"] == 1
        await peer.send(cancelled(1))
        assert await peer.settled() == []
        assert logged.of("cancel.ignored")[0]["why"] == "no such request is in flight"
        # And it does not hang on to the id.
        assert (await peer.ask(peer.call(1, "echo", {"a": 1})))["id"] == 1


@pytest.mark.parametrize("version", ERAS)
async def test_a_cancel_names_its_request_by_the_type_of_the_id_too(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, version) as peer:
        await peer.send(peer.call(1, "wait"))
        await peer.send(cancelled("1"), cancelled("unknown"))
        assert await peer.settled() == []
        assert bench.reasons == []
        bench.go.set()
        assert (await peer.receive())["id"] == 1


async def test_initialize_cannot_be_cancelled(autojump_clock: MockClock) -> None:
    async with served(Bench().server, "2025-11-25", opened=False) as peer:
        await peer.send(peer.initialize(1), cancelled(1))
        assert (await peer.receive())["result"]["protocolVersion"] == "2025-11-25"
        assert await peer.settled() == []


@pytest.mark.parametrize("version", ERAS)
async def test_a_second_cancel_changes_nothing(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, version) as peer:
        await peer.send(peer.call(1, "wait"))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(1), cancelled(1))
        assert await peer.settled() == []
        assert bench.reasons == [CancelReason.CANCELLED]
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_after_a_cancel_the_next_request_has_a_scope_of_its_own(version: str, autojump_clock: MockClock) -> None:
    """Members of the crew keep their scope from one piece of work to the next, unless it was used."""
    bench = Bench()
    async with served(bench.server, version) as peer:
        for n in range(20):
            await peer.send(peer.call(n, "wait"))
            await wait_all_tasks_blocked()
            await peer.send(cancelled(n), peer.call(f"a{n}", "limited", {"seconds": 9}))
            answer = await peer.receive()
            assert (answer["id"], answer["result"]["content"][0]["text"]) == (f"a{n}", "done")
            await trio.sleep(50)  # the deadline of the one before is no matter of the next
        assert bench.reasons == [CancelReason.CANCELLED] * 20


# --- deadlines ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_tool_over_its_time_is_answered_with_the_reason(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server, version) as peer:
        before = trio.current_time()
        answer = await peer.ask(peer.call(1, "limited", {"seconds": 1000}))
        assert trio.current_time() - before == pytest.approx(10)
        assert answer["error"]["code"] == -31003
        assert answer["error"]["data"] == {"reason": "deadline"}
        assert bench.reasons == [CancelReason.DEADLINE]
        assert (await peer.ask(peer.call(2, "limited", {"seconds": 9})))["result"]["content"][0]["text"] == "done"
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_a_tool_that_outstays_its_time_is_answered_when_it_ends(version: str, autojump_clock: MockClock) -> None:
    bench = Bench()

    @bench.server.tool(timeout=10)
    async def outstays(fails: bool) -> str:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)
            if fails:
                raise ValueError("while cleaning up")
        return "never"

    async with served(bench.server, version) as peer:
        for fails in (False, True):
            before = trio.current_time()
            answer = await peer.ask(peer.call(1, "outstays", {"fails": fails}))
            assert trio.current_time() - before == pytest.approx(30)
            assert answer["error"]["code"] == -31003
        assert await still_works(peer)


async def test_the_peers_cancel_comes_before_the_deadline_that_follows_it(autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server) as peer:
        await peer.send(peer.call(1, "limited", {"seconds": 1000}))
        await trio.sleep(5)
        await peer.send(cancelled(1))
        await trio.sleep(20)
        assert await peer.settled() == []
        assert bench.reasons == [CancelReason.CANCELLED]


# --- those that do not go -------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_handler_that_ignores_its_cancel_keeps_its_place_and_the_log_says_so(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    bench = Bench(session_requests=2, cleanup=5.0)
    async with served(bench.server, version) as peer:
        assert peer.session is not None
        await peer.send(peer.call(1, "stubborn"), peer.call(2, "stubborn"))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(1))
        await trio.sleep(4)
        assert logged.of("request.overstayed") == []
        [snapshot, other] = peer.session.snapshot().requests
        assert (snapshot.state, other.state) == ("cancelled: cancelled", "running")
        await trio.sleep(100)
        [line] = logged.of("request.overstayed")  # once, however long it takes
        assert (line["method"], line["seconds"]) == ("tools/call", 5.0)
        # No place is free: what comes now waits.
        await peer.send(peer.call(3, "echo", {"a": 3}))
        assert await peer.settled() == []
        # Its id is taken, too, as long as it is there.
        await peer.send(peer.call(1, "echo", {"a": 3}))
        [refusal] = await peer.settled()
        assert "id" not in refusal
        bench.go.set()
        answers = await peer.settled()
        assert sorted(a["id"] for a in answers) == [2, 3]
        # The session, its four actors, and two workers that wait.
        await trio.sleep(100)
        assert peer.session.snapshot().tasks <= 7


async def test_a_handler_cleans_up_within_a_budget(autojump_clock: MockClock) -> None:
    server = trimcp.Server("test", limits=Limits(cleanup=3.0))
    took: list[float] = []
    rolled_back: list[bool] = []

    @server.tool
    async def work(ctx: trimcp.Context, seconds: float) -> str:
        try:
            await trio.sleep_forever()
        finally:
            before = trio.current_time()
            with ctx.cleaning_up():
                await trio.sleep(seconds)
                rolled_back.append(True)
            took.append(trio.current_time() - before)
        return "never"

    async with served(server) as peer:
        for seconds in (1, 1000):
            await peer.send(peer.call(seconds, "work", {"seconds": seconds}))
            await wait_all_tasks_blocked()
            await peer.send(cancelled(seconds))
            await trio.sleep(10)
        assert took == [pytest.approx(1), pytest.approx(3)]
        assert rolled_back == [True]
        assert await peer.settled() == []


@pytest.mark.parametrize("how", ["shields itself", "swallows it"])
async def test_what_a_cancelled_handler_still_returns_is_not_sent(how: str, autojump_clock: MockClock) -> None:
    bench = Bench()

    @bench.server.tool
    async def swallows() -> str:
        with trio.CancelScope() as scope:
            try:
                await trio.sleep_forever()
            finally:
                scope.shield = True
                await trio.sleep(1)
                return "done"  # noqa: B012

    async with served(bench.server) as peer:
        await peer.send(peer.call(1, "stubborn" if how == "shields itself" else "swallows"))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(1))
        await wait_all_tasks_blocked()
        bench.go.set()
        await trio.sleep(10)
        assert await peer.settled() == []
        assert await still_works(peer)


@pytest.mark.parametrize("ends_by", ["the peer", "the scope"])
async def test_the_end_of_a_session_cancels_its_handlers_with_a_reason(ends_by: str, autojump_clock: MockClock) -> None:
    bench = Bench()
    async with served(bench.server) as peer:
        await peer.send(peer.call(1, "wait"), peer.call(2, "wait"))
        await wait_all_tasks_blocked()
        if ends_by == "the peer":
            assert peer.session is not None
            peer.session.close()
            await peer.session.wait_over()
    # Where the scope around it all was cancelled, a handler may unwind before the session knows.
    expected = {CancelReason.SESSION_LOST} if ends_by == "the peer" else {CancelReason.SESSION_LOST, None}
    assert len(bench.reasons) == 2
    assert set(bench.reasons) <= expected


@pytest.mark.parametrize("version", ERAS)
async def test_progress_that_has_not_left_does_not_follow_the_cancel(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("talker", limits=trimcp.Limits(write_timeout=1000))

    @server.tool
    async def fill(ctx: trimcp.Context) -> str:
        return "x" * 200_000

    @server.tool
    async def report(ctx: trimcp.Context) -> None:
        await ctx.progress(1)
        await trio.sleep_forever()

    async with served(server, version, capacity=4096) as peer:
        await peer.send(peer.call(1, "fill"), peer.call(2, "report", progressToken="t"))
        await trio.sleep(1)  # the answer to the first fills the pipe, and the report waits behind it
        await peer.send(cancelled(2))
        await trio.sleep(1)
        messages = await peer.settled()
        assert [message.get("id") for message in messages] == [1]
