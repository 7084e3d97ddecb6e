"""Many requests in flight, and handlers that ask the client while it asks them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import ERAS, MODERN, notification, result, served
from tests.session.test_requests import still_works, text, with_echo
from trimcp import Limits


@pytest.mark.parametrize("version", ERAS)
async def test_a_thousand_requests_in_flight_are_all_answered_once(version: str, autojump_clock: MockClock) -> None:
    server = with_echo(limits=Limits(session_requests=300, session_waiting=1000))
    inside = peak = 0

    @server.tool
    async def slow(a: int) -> int:
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        await trio.sleep(1 + a % 7)
        inside -= 1
        return a

    async with served(server, version) as peer:
        await peer.send(*(peer.call(n, "slow", {"a": n}) for n in range(1000)))
        answers = [await peer.receive() for _ in range(1000)]
        assert sorted(int(text(a)) for a in answers if int(text(a)) == a["id"]) == list(range(1000))
        assert peak == 300
        assert await peer.settled() == []
        assert peer.session is not None
        snapshot = peer.session.snapshot()
        assert (snapshot.requests, snapshot.waiting) == ((), 0)
        # The session, its Router, its Writer, and of three hundred workers two that wait.
        assert snapshot.tasks <= 5


async def test_a_handler_that_asks_the_client_does_not_wait_for_a_place(autojump_clock: MockClock) -> None:
    """Every place of the session is taken by handlers that wait for the client, whose answers take none."""
    server = with_echo(limits=Limits(session_requests=3))

    @server.tool
    async def check(ctx: trimcp.Context) -> str:
        await ctx.ping()
        return "there"

    async with served(server, "2025-11-25") as peer:
        await peer.send(*(peer.call(n, "check") for n in range(7)))
        answered = 0
        while answered < 7:
            message = await peer.receive()
            if "method" in message:
                assert message["method"] == "ping"
                await peer.send(result(message["id"]))
            else:
                assert text(message) == "there"
                answered += 1


@pytest.mark.parametrize("how", ["error", "silence", "wrong shape"])
async def test_a_handler_is_told_when_the_client_does_not_answer(how: str, autojump_clock: MockClock) -> None:
    server = with_echo()
    seen: list[Exception] = []

    @server.tool
    async def check(ctx: trimcp.Context) -> str:
        try:
            await ctx.ping()
        except trimcp.TrimcpError as exc:
            seen.append(exc)
        return "told"

    async with served(server, "2025-11-25") as peer:
        asked = await peer.ask(peer.call(1, "check"))
        if how == "error":
            await peer.send({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -7, "message": "no"}})
        elif how == "wrong shape":
            await peer.send({"jsonrpc": "2.0", "id": asked["id"], "result": []})
        else:
            notice = await peer.receive()
            assert notice["method"] == "notifications/cancelled"
            assert notice["params"]["requestId"] == asked["id"]
        assert text(await peer.receive()) == "told"
    kinds = {"error": trimcp.RequestFailed, "silence": trimcp.RequestTimedOut, "wrong shape": trimcp.InvalidResult}
    assert [type(exc) for exc in seen] == [kinds[how]]


async def test_in_the_modern_era_a_handler_cannot_ask(autojump_clock: MockClock) -> None:
    server = with_echo()

    @server.tool
    async def check(ctx: trimcp.Context) -> str:
        with pytest.raises(trimcp.UsageError, match=MODERN):
            await ctx.ping()
        return "told"

    async with served(server) as peer:
        assert text(await peer.ask(peer.call(1, "check"))) == "told"


async def test_what_a_cancelled_handler_was_asking_is_cancelled_too(autojump_clock: MockClock) -> None:
    server = with_echo()

    @server.tool
    async def check(ctx: trimcp.Context) -> str:
        await ctx.ping()
        return "x"

    async with served(server, "2025-11-25") as peer:
        asked = await peer.ask(peer.call(1, "check"))
        await peer.send(notification("notifications/cancelled", {"requestId": 1}))
        notice = await peer.receive()
        assert (notice["method"], notice["params"]["requestId"]) == ("notifications/cancelled", asked["id"])
        await peer.send(result(asked["id"]))  # late, and for nobody
        assert await still_works(peer)
