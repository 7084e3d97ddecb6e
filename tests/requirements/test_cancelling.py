"""Which requests cancels name, and which not (utilities/cancellation, patterns/cancellation, stdio)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.requirements.traffic import everything, traffic
from tests.server.context.people import Household
from tests.session.peer import ALL, LEGACY, MODERN, Peer, RawServer, cancelled, served
from trimcp import Timeouts

CANCELLED = "notifications/cancelled"


@pytest.mark.parametrize("version", ALL)
async def test_a_cancel_names_an_unanswered_request_of_the_side_that_sends_it(
    version: str, autojump_clock: MockClock
) -> None:
    said = await traffic(version)
    open_: dict[str, set[Any]] = {"in": set(), "out": set()}
    cancels = 0
    for side, message in said.lines:
        if "method" in message and "id" in message:
            open_[side].add(message["id"])
        elif "method" not in message:
            open_["in" if side == "out" else "out"].discard(message["id"])
        elif message["method"] == CANCELLED and side == "out":
            cancels += 1
            assert message["params"]["requestId"] in open_["out"]
    # A call was left, one was given up, and in the modern era the listener left.
    assert cancels == (3 if version == MODERN else 2)


async def test_a_modern_server_cancels_listens_and_nothing_else(autojump_clock: MockClock) -> None:
    said = await traffic(MODERN)
    listens = {request["id"] for request in said.of("out", method="subscriptions/listen")}
    cancels = [notice["params"]["requestId"] for notice in said.of("in", method=CANCELLED)]
    assert len(cancels) == 1
    assert set(cancels) <= listens


@pytest.mark.parametrize("how", ["its time is over", "the server stops", "the client cancels", "it asks"])
async def test_a_modern_request_that_ends_early_is_never_cancelled_by_its_server(
    how: str, autojump_clock: MockClock
) -> None:
    server = everything()
    async with served(server) as peer:
        capabilities = {"io.modelcontextprotocol/clientCapabilities": {"sampling": {}, "roots": {}}}
        tool = {"its time is over": "late", "it asks": "ask"}.get(how, "wait")
        await peer.send(peer.call(1, tool, **capabilities))
        await wait_all_tasks_blocked()
        if how == "the client cancels":
            await peer.send(cancelled(1))
        if how == "the server stops":
            await server.drain(0)
            messages = await peer.rest()
        else:
            await trio.sleep(10)
            messages = await peer.settled()
        assert [message.get("id") for message in messages] == ([] if how == "the client cancels" else [1])


@pytest.mark.parametrize("version", LEGACY)
@pytest.mark.parametrize("how", ["its scope is cancelled", "no answer comes"])
async def test_a_client_never_cancels_initialize(version: str, how: str, autojump_clock: MockClock) -> None:
    heard: list[Any] = []

    async def silent(peer: Peer) -> None:
        while True:
            try:
                heard.append(await peer.receive())
            except EOFError:
                return

    with trio.move_on_after(5 if how == "its scope is cancelled" else 1000):
        with pytest.raises(trimcp.SessionFailed) if how == "no answer comes" else trio.CancelScope():
            async with trimcp.connect(RawServer(silent), revision=version, timeouts=Timeouts(request=50)):
                pytest.fail("connected")
    assert [message["method"] for message in heard] == ["initialize"]


async def test_a_legacy_server_cancels_what_it_asked_itself_and_nothing_else(autojump_clock: MockClock) -> None:
    server = everything()
    async with served(server, "2025-11-25", opened=False) as peer:
        opening = peer.initialize()
        opening["params"]["capabilities"] = {"sampling": {}, "roots": {}}
        await peer.ask(opening)
        await peer.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        asked = await peer.ask(peer.call("mine", "ask"))
        assert asked["method"] == "sampling/createMessage"
        await peer.send(cancelled("mine"))
        [notice] = await peer.settled()
        assert (notice["method"], notice["params"]["requestId"]) == (CANCELLED, asked["id"])


@pytest.mark.parametrize("version", ALL)
async def test_nothing_more_is_said_of_a_request_that_was_cancelled(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("talker")
    contexts: list[trimcp.Context] = []

    @server.tool
    async def talk(ctx: trimcp.Context) -> str:
        contexts.append(ctx)
        try:
            await trio.sleep_forever()
        finally:
            with ctx.cleaning_up():
                ctx.log("emergency", "cancelled")
                await ctx.progress(5)
        return "never"

    async with served(server, version) as peer:
        if version in LEGACY:
            await peer.ask(peer.request("level", "logging/setLevel", {"level": "debug"}))
        meta = {"io.modelcontextprotocol/logLevel": "debug"} if version == MODERN else {}
        await peer.send(peer.call(1, "talk", progressToken="t", **meta))
        await wait_all_tasks_blocked()
        await peer.send(cancelled(1))
        await trio.sleep(10)
        assert len(contexts) == 1
        assert await peer.settled() == []


@pytest.mark.parametrize("version", ALL)
async def test_an_answer_that_crosses_a_cancel_is_dropped_and_the_session_goes_on(
    version: str, autojump_clock: MockClock
) -> None:
    async with trimcp.connect(everything(), revision=version, **Household().options()) as client:
        for steps in range(20):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.call_tool, "add", {"a": 1, "b": 2})
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"
        assert client.session.end is None
