"""Log messages go to whom asked for them, at the level asked for (server/utilities/logging)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.session.peer import LEGACY, MODERN, PATIENCE, Peer
from trimcp.transports.memory import memory_pair

LEVEL = "io.modelcontextprotocol/logLevel"


def chatty(**options: Any) -> trimcp.Server:
    """A server whose tool logs at three levels, and then some data."""
    server = trimcp.Server("chatty", **options)

    @server.tool
    async def talk(ctx: trimcp.Context) -> str:
        ctx.log("debug", "d")
        ctx.log("warning", {"w": [1, None]}, logger="db")
        ctx.log("emergency", None)
        return "done"

    return server


@asynccontextmanager
async def peer_of(server: trimcp.Server, version: str) -> AsyncIterator[Peer]:
    """A raw peer that has opened its session."""
    ours, theirs = memory_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, theirs)
        peer = Peer(ours, version)
        with trio.fail_after(PATIENCE):
            await peer.open()
            yield peer
        await ours.aclose()
        nursery.cancel_scope.cancel()


async def logs_of(peer: Peer, id: int, **meta: Any) -> list[Any]:
    """The log messages before the answer to a call, which is the last message."""
    await peer.send(peer.call(id, "talk", **meta))
    messages = []
    while True:
        message = await peer.receive()
        if message.get("id") == id:
            assert message["result"]["content"][0]["text"] == "done"
            return messages
        assert message["method"] == "notifications/message"
        messages.append(message["params"])


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_session_gets_what_the_server_decides_until_it_has_set_a_level(
    version: str, autojump_clock: Any
) -> None:
    for level, number in (("info", 2), ("debug", 3), ("alert", 1), (None, 0)):
        options = {} if level == "info" else {"log_level": level}  # it is the default
        async with peer_of(chatty(**options), version) as peer:
            assert len(await logs_of(peer, 1)) == number
    with pytest.raises(trimcp.UsageError, match="Unknown log level 'loud': use debug, info"):
        chatty(log_level="loud")


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_session_gets_what_it_set(version: str, autojump_clock: Any) -> None:
    async with peer_of(chatty(), version) as peer:
        assert (await peer.ask(peer.request(2, "logging/setLevel", {"level": "warning"})))["result"] == {}
        assert await logs_of(peer, 3) == [
            {"level": "warning", "data": {"w": [1, None]}, "logger": "db"},
            {"level": "emergency", "data": None},
        ]
        await peer.ask(peer.request(4, "logging/setLevel", {"level": "debug"}))
        assert len(await logs_of(peer, 5)) == 3


async def test_a_modern_request_gets_what_it_asks_for_itself(autojump_clock: Any) -> None:
    async with peer_of(chatty(), MODERN) as peer:
        assert len(await logs_of(peer, 1, **{LEVEL: "debug"})) == 3
        assert await logs_of(peer, 2) == []
        assert [m["level"] for m in await logs_of(peer, 3, **{LEVEL: "critical"})] == ["emergency"]
        answer = await peer.ask(peer.call(4, "talk", **{LEVEL: "loud"}))
        assert answer["error"]["code"] == -32602
        assert (await peer.ask(peer.request(5, "logging/setLevel", {"level": "debug"})))["error"]["code"] == -32601


async def test_two_sessions_have_levels_of_their_own(autojump_clock: Any) -> None:
    server = chatty()
    async with peer_of(server, "2025-11-25") as one, peer_of(server, "2025-11-25") as other:
        await one.ask(one.request(1, "logging/setLevel", {"level": "debug"}))
        assert len(await logs_of(one, 2)) == 3
        assert len(await logs_of(other, 2)) == 2


@pytest.mark.parametrize("params", [{}, {"level": "loud"}, {"level": 3}])
async def test_a_level_that_is_none_is_refused(params: dict[str, Any], autojump_clock: Any) -> None:
    async with peer_of(chatty(), "2025-11-25") as peer:
        assert (await peer.ask(peer.request(1, "logging/setLevel", params)))["error"]["code"] == -32602


async def test_a_server_without_logging_declares_none_and_cannot_log(autojump_clock: Any) -> None:
    for wanted, options in ((True, {}), (False, {"logging": False})):
        async with peer_of(chatty(**options), MODERN) as peer:
            capabilities = (await peer.ask(peer.request(1, "server/discover")))["result"]["capabilities"]
            assert ("logging" in capabilities) is wanted
    async with peer_of(chatty(logging=False), "2025-11-25") as peer:
        assert (await peer.ask(peer.request(1, "logging/setLevel", {"level": "info"})))["error"]["code"] == -32601
        assert (await peer.ask(peer.call(2, "talk")))["result"]["isError"] is True


async def test_a_client_asks_for_a_level_in_either_era(autojump_clock: Any) -> None:
    server = trimcp.Server("levels")

    @server.tool
    async def level(ctx: trimcp.Context) -> str:
        profile = ctx.request.profile
        return str(profile and profile.log_level)

    for revision in ("2025-11-25", MODERN):
        async with trimcp.connect(server, revision=revision, log_level="notice") as client:
            assert (await client.call_tool("level")).text == "notice"
        async with trimcp.connect(server, revision=revision) as client:
            assert (await client.call_tool("level")).text == ("None" if revision == MODERN else "info")


async def test_a_level_that_does_not_exist_is_the_tools_mistake(autojump_clock: Any) -> None:
    server = trimcp.Server("wrong", show_errors=True)

    @server.tool
    async def wrong(ctx: trimcp.Context) -> None:
        ctx.log("loud", "x")  # type: ignore[arg-type]  # what is tested

    async with trimcp.connect(server) as client:
        result = await client.call_tool("wrong")
        assert result.is_error
        assert "Unknown log level 'loud'" in result.text
