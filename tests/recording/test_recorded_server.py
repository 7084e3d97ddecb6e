"""A recording as a server: for clients of ours, by hand, and for the official client."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.process.children import child, initialize
from tests.recording.test_replaying import visit
from tests.recording.vault import PATIENCE, recorded, vault
from trimcp.errors import RequestFailed
from trimcp.recording.format import Entry, Recording
from trimcp.recording.server import RecordedServer
from trimcp.testing import open_client, replay
from trimcp.testing.fake_peer import FakePeer
from trimcp.transports.memory import memory_pair
from trimcp.view.masking import MASKED

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


async def nothing(client: trimcp.Client) -> None:
    """Do nothing but connect."""


@ERAS
async def test_a_client_gets_what_was_recorded(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "session.ndjson"
    first = await recorded(path, vault(), revision, visit)
    server = replay(path)
    again = await recorded(tmp_path / "again.ndjson", server, revision, visit)
    passed = [(entry.sender, entry.kind) for entry in again.entries]
    assert passed == [(entry.sender, entry.kind) for entry in first.entries]
    assert server.unrecorded == []
    async with open_client(replay(path)) as client:
        assert client.protocol_version == revision
        assert (await client.call_tool("unlock", {"password": "another"})).text == f"{MASKED} opens nothing"
        with pytest.raises(RequestFailed, match="Not recorded: the recording has tools/call") as refused:
            await client.call_tool("add", {"a": 1, "b": 3})
        assert refused.value.code == -32602
        with pytest.raises(RequestFailed, match="Method not found"):
            await client.get_prompt("none")


def said(at: float, sender: str, **message: Any) -> Entry:
    return Entry(at=at, session=1, sender=sender, message={"jsonrpc": "2.0", **message})  # type: ignore[arg-type]


ROUNDS = Recording(
    began="",
    entries=(
        said(0, "client", id=1, method="tools/call", params={"name": "next"}),
        said(3, "server", method="notifications/message", params={"level": "info", "data": "one"}),
        said(4, "server", id=1, result={"n": 1}),
        said(5, "client", id=2, method="tools/call", params={"name": "next", "_meta": {"progressToken": 5}}),
        said(6, "server", method="notifications/progress", params={"progressToken": 5, "progress": 1}),
        said(7, "server", id="s-1", method="ping"),
        said(8, "client", id="s-1", result={}),
        said(9, "server", id=2, result={"n": 2}),
        said(10, "client", id=3, method="tools/call", params={"name": "never"}),
    ),
)


async def test_answers_come_in_order_with_the_ids_of_this_client(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = memory_pair()
    server = RecordedServer(ROUNDS, timing="as-recorded")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, theirs)
        peer = FakePeer(ours)
        began = trio.current_time()
        next_call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "next"}}
        assert (await peer.ask({**next_call, "id": "a"}))["method"] == "notifications/message"
        assert (await peer.receive()) == {"jsonrpc": "2.0", "id": "a", "result": {"n": 1}}
        assert trio.current_time() - began == 4

        await peer.send({**next_call, "id": "b", "params": {"name": "next", "_meta": {"progressToken": "t"}}})
        assert (await peer.receive())["params"] == {"progressToken": "t", "progress": 1}
        question = await peer.receive()
        assert question["method"] == "ping"
        await peer.send({"jsonrpc": "2.0", "id": question["id"], "result": {}})
        assert (await peer.receive())["result"] == {"n": 2}

        # The last one again, without progress, since none is wanted.
        question = await peer.ask({**next_call, "id": "c"})
        assert question["method"] == "ping"
        await peer.send({"jsonrpc": "2.0", "id": question["id"], "result": {}})
        assert (await peer.receive()) == {"jsonrpc": "2.0", "id": "c", "result": {"n": 2}}

        assert (await peer.ask(b"nonsense"))["error"]["code"] == -32700
        await peer.send({**next_call, "id": "d", "params": {"name": "never"}})
        await peer.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "d"}})
        await peer.end()
        assert await peer.rest() == []


async def test_a_client_that_leaves_with_a_question_open_ends_the_connection() -> None:
    ours, theirs = memory_pair()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(RecordedServer(ROUNDS).serve, theirs)
            peer = FakePeer(ours)
            call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "next"}}
            await peer.send({**call, "id": 1}, {**call, "id": 2})
            await peer.end()
            await peer.rest()


@pytest.mark.interop
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_takes_it_for_its_server(tmp_path: Path, mode: str) -> None:
    mcp = pytest.importorskip("mcp")
    path = tmp_path / "session.ndjson"
    revision = {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]

    async def use(client: trimcp.Client) -> None:
        await client.list_tools()
        await client.call_tool("add", {"a": 1, "b": 2})

    await recorded(path, vault(), revision, use)
    arguments = ["-m", "trimcp", "replay", str(path), "--serve"]
    parameters = mcp.StdioServerParameters(command=sys.executable, args=arguments)
    with trio.fail_after(PATIENCE):
        async with mcp.Client(parameters, mode=mode) as client:
            assert client.protocol_version == revision
            assert "add" in [tool.name for tool in (await client.list_tools()).tools]
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


async def test_the_command_answers_all_of_a_pipe_and_names_what_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"

    await recorded(path, vault(), "2025-11-25", nothing)
    async with child([sys.executable, "-m", "trimcp", "replay", str(path), "--serve"]) as mock:
        await mock.send(*initialize("2025-11-25"), {"jsonrpc": "2.0", "id": 2, "method": "prompts/list"})
        assert (await mock.receive())["result"]["serverInfo"]["name"] == "vault"
        assert (await mock.receive())["error"]["code"] == -32601
        assert mock.process.stdin is not None
        await mock.process.stdin.aclose()
        assert await mock.exit_code() == 0
        await mock.says("prompts/list was asked, and is not recorded")
