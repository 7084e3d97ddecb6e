"""More than there is room for: what waits, what is refused, whose turn is next, and what passes it all."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ERAS, LEGACY, MODERN, Peer, cancelled, notification, served
from trimcp import Limits


class Bench:
    """A server whose tool `wait` waits for one go each, and notes who ran in which order."""

    def __init__(self, **limits: Any) -> None:
        self.server = trimcp.Server("test", limits=Limits(**limits))
        self.places = trio.Semaphore(0)
        self.ran: list[str] = []

        @self.server.tool
        async def wait(who: str = "", padding: str = "") -> str:
            await self.places.acquire()
            self.ran.append(who)
            return who

        @self.server.tool
        async def quick(who: str = "") -> str:
            self.ran.append(who)
            return who

    def go(self, number: int) -> None:
        for _ in range(number):
            self.places.release()


@pytest.mark.parametrize("version", ERAS)
async def test_over_the_places_and_the_list_a_request_is_refused_as_busy(
    version: str, autojump_clock: MockClock
) -> None:
    bench = Bench(session_requests=2, session_waiting=3)
    async with served(bench.server, version) as peer:
        await peer.send(*(peer.call(n, "wait", {"who": str(n)}) for n in range(7)))
        refused = await peer.settled()
        assert [a["id"] for a in refused] == [5, 6]
        for answer in refused:
            assert answer["error"]["code"] == -31001
            assert answer["error"]["data"] == {"reason": "busy", "retryAfterMs": 1000}
        assert peer.session is not None
        snapshot = peer.session.snapshot()
        assert [r.state for r in snapshot.requests] == ["running"] * 2 + ["waiting"] * 3
        assert (snapshot.waiting, snapshot.refused) == (3, 2)
        for _ in range(5):
            bench.go(1)
            await wait_all_tasks_blocked()
        assert sorted(a["id"] for a in await peer.settled()) == [0, 1, 2, 3, 4]
        assert sorted(bench.ran) == ["0", "1", "2", "3", "4"]
        assert [n for n in bench.ran if n > "1"] == ["2", "3", "4"]  # in the order in which they came
        assert (await peer.ask(peer.call(9, "quick")))["id"] == 9


@pytest.mark.parametrize("version", ERAS)
async def test_over_the_bytes_a_request_is_refused_as_busy(version: str, autojump_clock: MockClock) -> None:
    bench = Bench(session_request_bytes=10_000)
    async with served(bench.server, version) as peer:
        large = {"padding": "x" * 4000}
        await peer.send(*(peer.call(n, "wait", large) for n in range(4)))
        refused = await peer.settled()
        assert [(a["id"], a["error"]["code"]) for a in refused] == [(2, -31001), (3, -31001)]
        # What is cancelled, or ends, gives its bytes back.
        await peer.send(cancelled(0))
        assert await peer.settled() == []
        await peer.send(peer.call(4, "wait", large))
        assert await peer.settled() == []
        bench.go(100)
        assert {a["id"] for a in await peer.settled()} == {1, 4}
        # One request may have any size that a message may have, where it is the only one.
        assert (await peer.ask(peer.call(5, "wait", {"padding": "x" * 20_000})))["id"] == 5


@pytest.mark.parametrize("version", ERAS)
async def test_what_needs_no_place_passes_all_that_waits(version: str, autojump_clock: MockClock) -> None:
    bench = Bench(session_requests=1, session_waiting=5)
    async with served(bench.server, version) as peer:
        await peer.send(*(peer.call(n, "wait") for n in range(6)))
        ping = "server/discover" if version == MODERN else "ping"
        answer = await peer.ask(peer.request("p", ping))
        assert (answer["id"], "result" in answer) == ("p", True)
        await peer.send(cancelled(0), cancelled(3))
        assert await peer.settled() == []
        bench.go(100)
        assert sorted(a["id"] for a in await peer.settled()) == [1, 2, 4, 5]


async def test_initialize_passes_modern_calls_that_wait(autojump_clock: MockClock) -> None:
    bench = Bench(session_requests=1, session_waiting=5)
    async with served(bench.server) as peer:
        await peer.send(*(peer.call(n, "wait") for n in range(6)))
        assert "result" in await peer.ask(peer.initialize("i", LEGACY[3]))


# --- many sessions --------------------------------------------------------------------


async def test_free_places_go_round_the_sessions_that_wait(autojump_clock: MockClock) -> None:
    bench = Bench(server_requests=2, session_requests=100)
    async with (
        bench.server.running(),
        served(bench.server) as flood,
        served(bench.server) as ann,
        served(bench.server, "2025-11-25") as bob,
    ):
        await flood.send(*(flood.call(n, "wait", {"who": "flood"}) for n in range(60)))
        await wait_all_tasks_blocked()
        for who, peer in (("ann", ann), ("bob", bob)):
            await peer.send(*(peer.call(n, "wait", {"who": who}) for n in range(5)))
            await wait_all_tasks_blocked()
        for _ in range(70):
            bench.go(1)
            await wait_all_tasks_blocked()
        served_in_turn = [[i for i, who in enumerate(bench.ran) if who == name] for name in ("ann", "bob")]
        for turns in served_in_turn:
            # The two that ran at first, one in the ring before, and then never more than one of each other session.
            assert turns[0] <= 5
            assert all(later - earlier <= 3 for earlier, later in itertools.pairwise(turns))
        assert bench.ran.count("flood") == 60


async def test_a_session_that_floods_does_not_hold_up_what_needs_no_place(autojump_clock: MockClock) -> None:
    bench = Bench(server_requests=1)
    async with (
        bench.server.running(),
        served(bench.server) as flood,
        served(bench.server, "2025-11-25", opened=False) as other,
    ):
        await flood.send(*(flood.call(n, "wait") for n in range(500)))
        await wait_all_tasks_blocked()
        await other.open()
        assert (await other.ask(other.request(1, "ping")))["result"] == {}
        await other.send(other.call(2, "wait", {"who": "other"}))
        await wait_all_tasks_blocked()
        await other.send(cancelled(2))
        assert await other.settled() == []
        await other.send(other.call(3, "wait", {"who": "other"}))
        bench.go(3)
        assert (await other.receive())["id"] == 3


async def test_a_session_that_ends_gives_all_its_places_back(autojump_clock: MockClock) -> None:
    bench = Bench(server_requests=3)
    async with bench.server.running() as running:
        for how in ("close", "vanish", "cancel"):
            async with served(bench.server) as peer:
                await peer.send(*(peer.call(n, "wait") for n in range(10)))
                if how != "cancel":
                    await wait_all_tasks_blocked()
                    assert running.admission.free == 0
                assert peer.session is not None
                if how == "close":
                    peer.session.close()
                elif how == "vanish":
                    await peer.duplex.aclose()
                    await trio.sleep(100)
            assert running.admission.free == 3
            assert running.admission.sessions_waiting == 0
            assert not running.sessions
        # The places of a session that is gone are there for the next, while a handler of it unwinds or not.
        async with served(bench.server) as peer:
            bench.go(1)
            assert (await peer.ask(peer.call(1, "wait")))["id"] == 1


async def test_a_session_that_ends_hands_its_turn_on(autojump_clock: MockClock) -> None:
    bench = Bench(server_requests=1)
    async with (
        bench.server.running(),
        served(bench.server) as first,
        served(bench.server) as second,
        served(bench.server) as third,
    ):
        for who, peer in (("first", first), ("second", second), ("third", third)):
            await peer.send(*(peer.call(n, "wait", {"who": who}) for n in range(2)))
            await wait_all_tasks_blocked()
        for peer in (first, second):
            assert peer.session is not None
            peer.session.close()
            await peer.session.wait_over()
        bench.go(2)
        assert [(await third.receive())["id"] for _ in range(2)] == [0, 1]


# --- one tool -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_tool_with_a_limit_runs_so_often_at_once_and_the_others_wait(
    version: str, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("test")
    inside = peak = 0

    @server.tool(limit=2)
    async def narrow() -> int:
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        await trio.sleep(1)
        inside -= 1
        return peak

    @server.tool
    async def wide() -> str:
        return "wide"

    async with server.running(), served(server, version) as one, served(server, version) as two:
        before = trio.current_time()
        for peer in (one, two):
            await peer.send(*(peer.call(n, "narrow") for n in range(5)))
        assert (await one.ask(one.call("w", "wide")))["id"] == "w"
        for peer in (one, two):
            assert {(await peer.receive())["id"] for _ in range(5)} == set(range(5))
        assert peak == 2
        assert trio.current_time() - before == pytest.approx(5)
        # One that is cancelled while it waits takes nothing with it.
        await one.send(*(one.call(n, "narrow") for n in range(4)), cancelled(2), cancelled(0))
        assert {(await one.receive())["id"] for _ in range(2)} == {1, 3}


async def test_an_unknown_notification_in_a_flood_takes_no_room(autojump_clock: MockClock) -> None:
    bench = Bench(session_requests=1, session_waiting=0)
    async with served(bench.server) as peer:
        await peer.send(*(notification("some/thing", {"n": n}) for n in range(5000)))
        assert await peer.settled() == []
        assert (await peer.ask(peer.call(1, "quick")))["id"] == 1


async def test_a_server_tells_how_much_memory_it_may_take() -> None:
    small = trimcp.Server("a", limits=Limits(sessions=1, session_requests=1, server_requests=1))
    large = trimcp.Server("a", limits=Limits(sessions=10, session_requests=1, server_requests=10))
    limits = small.limits
    expected = limits.message_bytes + 65536 + limits.session_request_bytes + limits.out_bytes + limits.result_bytes
    assert small.memory_bound() >= expected
    assert large.memory_bound() == 10 * small.memory_bound()


async def test_a_peer_in_two_eras_shares_one_cap(autojump_clock: MockClock) -> None:
    bench = Bench(session_requests=1, session_waiting=1)
    async with served(bench.server, "2025-11-25") as peer:
        modern = Peer(peer.duplex, MODERN)
        await peer.send(peer.call(1, "wait"), modern.call(2, "wait"), peer.call(3, "wait"), modern.call(4, "wait"))
        assert [a["id"] for a in await peer.settled()] == [3, 4]
        bench.go(2)
        assert [a["id"] for a in await peer.settled()] == [1, 2]
