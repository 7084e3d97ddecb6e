"""An answer that is known never to come, or that cannot be read: its call fails at once, and the others go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.client.test_negotiation import initialized
from tests.session.peer import ERAS, LEGACY, Logged, Peer, RawServer, discovered, error, result, served
from trimcp import InvalidResult, Limits, RequestFailed
from trimcp.transports.memory import memory_pair


async def opened(peer: Peer, version: str) -> None:
    """Play the server's part up to the first call."""
    probe = await peer.receive()
    if version not in LEGACY:
        await peer.send(discovered(probe["id"]))
        return
    await peer.send(error(probe["id"], -32601))
    await peer.send(initialized((await peer.receive())["id"], version))
    await peer.receive()


def unreadable(id: Any) -> dict[str, bytes]:
    """Answers that a client cannot read."""
    head = b'{"jsonrpc":"2.0","id":%s,"result":{"content":[],"text":"' % json.dumps(id).encode()
    tail = b'","content":[]},"id":%s,"jsonrpc":"2.0"}' % json.dumps(id).encode()
    return {
        "a lone surrogate": head + b'\\ud800"}}',
        "a lone surrogate, the id last": b'{"result":{"text":"' + b"x" * 9000 + b"\\ud800" + tail,
        "no Unicode": head + b'\xff"}}',
        "not a number": head + b'","a":NaN}}',
        "broken off": head,
        "nested too deep": head + b'","a":' + b"[" * 200 + b"]" * 200 + b"}}",
        "too long": head + b"x" * 70_000 + b'"}}',
        "an id of another type": b'{"jsonrpc":"2.0","id":"%d","result":{"content":[]}}' % id,
        "an id that is a float": b'{"jsonrpc":"2.0","id":%d.0,"result":{"content":[]}}' % id,
        "no object": b'{"jsonrpc":"2.0","id":%d,"result":[]}' % id,
        "neither result nor error": b'{"jsonrpc":"2.0","id":%d}' % id,
        "an error of another kind": b'{"jsonrpc":"2.0","id":%d,"error":"no"}' % id,
    }


KINDS = list(unreadable(1))


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_cannot_be_read_fails_its_own_call_at_once(
    kind: str, version: str, autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        await opened(peer, version)
        first, second = await peer.receive(), await peer.receive()
        await peer.send(unreadable(first["id"])[kind])
        await trio.sleep(5)
        await peer.send(result(second["id"], {"resultType": "complete", "content": []}))
        await peer.rest()

    began = trio.current_time()
    async with (
        trimcp.connect(RawServer(script), limits=Limits(message_bytes=65536)) as client,
        trio.open_nursery() as nursery,
    ):

        async def fails() -> None:
            with pytest.raises(InvalidResult):
                await client.request("tools/call", {"name": "a"})
            assert trio.current_time() - began < 1

        nursery.start_soon(fails)
        await trio.testing.wait_all_tasks_blocked()
        await client.request("tools/call", {"name": "b"})


@pytest.mark.parametrize(
    "line", [b'{"jsonrpc":"2.0","id', b"{'id': 1}", b'{"result": {"a": "\\ud800"}}', b'{"result":{}}']
)
async def test_an_answer_without_an_id_is_that_of_the_only_call(line: bytes, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await opened(peer, ERAS[1])
        await peer.receive()
        await peer.send(line)
        await peer.rest()

    async with trimcp.connect(RawServer(script)) as client:
        with trio.fail_after(1), pytest.raises(InvalidResult):
            await client.request("tools/call", {"name": "a"})


async def test_an_error_without_an_id_about_what_could_not_be_read_is_that_of_the_only_call(
    autojump_clock: MockClock,
) -> None:
    async def script(peer: Peer) -> None:
        await opened(peer, ERAS[1])
        await peer.receive()
        await peer.send(error(None, -32600, "too long"))
        await peer.rest()

    async with trimcp.connect(RawServer(script)) as client:
        with trio.fail_after(1), pytest.raises(RequestFailed, match="too long"):
            await client.request("tools/call", {"name": "a"})


@pytest.mark.parametrize(
    "line",
    [
        b"Listening on port 8000",
        b'{"level":30,"time":1700000000,"msg":"ready"}',
        b'["{"]',
        b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":2,"method":"roots/list","params":{"a":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":99,"result":{"a":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no such notification"}}',
    ],
)
async def test_other_lines_concern_no_call(line: bytes, logged: Logged, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await opened(peer, ERAS[1])
        call = await peer.receive()
        assert call["id"] == 2
        await peer.send(line, result(call["id"], {"resultType": "complete", "content": []}))
        await peer.rest()

    async with trimcp.connect(RawServer(script)) as client:
        await client.request("tools/call", {"name": "a"})


# --- the other side -------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_request_that_is_too_long_is_refused_by_its_id(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a", limits=Limits(message_bytes=4096))
    async with served(server, version) as peer:
        answer = await peer.ask(peer.call("mine", "a", {"text": "x" * 9000}))
        assert (answer["id"], answer["error"]["code"]) == ("mine", -32600)
    ours, theirs = memory_pair(limit=4096)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, theirs)
        async with trimcp.connect(ours, revision=version) as client:
            with trio.fail_after(1), pytest.raises(RequestFailed, match="4096"):
                await client.call_tool("a", {"text": "x" * 9000})


@pytest.mark.parametrize("version", ERAS)
async def test_an_answer_of_the_client_that_cannot_be_read_fails_the_question(
    version: str, autojump_clock: MockClock
) -> None:
    if version not in LEGACY:
        pytest.skip("modern servers ask nothing on a connection")
    server = trimcp.Server("a")

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        await ctx.roots()
        return "no"

    async with served(server, version, opened=False) as peer:
        opening = peer.initialize()
        opening["params"]["capabilities"] = {"roots": {}}
        await peer.ask(opening)
        await peer.send({"jsonrpc": "2.0", "method": "notifications/initialized"}, peer.call(1, "ask"))
        question = await peer.receive()
        with trio.fail_after(1):
            answer = await peer.ask(
                b'{"jsonrpc":"2.0","id":%d,"result":{"roots":[{"uri":"\\ud800"}]}}' % question["id"]
            )
        assert answer["id"] == 1
        assert answer.get("error") or answer["result"]["isError"]


@pytest.mark.parametrize("version", ERAS)
async def test_an_answer_that_the_end_of_the_connection_cuts_is_a_lost_connection(
    version: str, autojump_clock: MockClock
) -> None:
    content = {"resultType": "complete", "content": [], "_meta": {"a": '"}'}}
    for cut in range(1, len(json.dumps(result(1, content)))):

        async def script(peer: Peer, cut: int = cut) -> None:
            await opened(peer, version)
            call = await peer.receive()
            await peer.send_bytes(json.dumps(result(call["id"], content)).encode()[:-cut])
            await peer.end()

        async with trimcp.connect(RawServer(script)) as client:
            with pytest.raises(trimcp.ConnectionLost):
                await client.request("tools/call", {"name": "a"})


@pytest.mark.parametrize("version", ERAS)
async def test_the_last_answer_needs_no_newline(version: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await opened(peer, version)
        call = await peer.receive()
        answer = result(call["id"], {"resultType": "complete", "content": []})
        await peer.send_bytes(json.dumps(answer).encode())
        await peer.end()

    async with trimcp.connect(RawServer(script)) as client:
        assert (await client.request("tools/call", {"name": "a"}))["content"] == []


async def test_an_answer_of_the_client_that_is_cut_is_a_lost_connection(autojump_clock: MockClock) -> None:
    server, seen = trimcp.Server("test"), list[str]()

    @server.tool
    async def roots(*, ctx: trimcp.Context) -> str:
        try:
            await ctx.roots()
        except Exception as exc:
            seen.append(type(exc).__name__)
            raise
        return "roots"

    async with served(server, "2025-06-18", opened=False) as peer:
        opening = peer.initialize()
        opening["params"]["capabilities"] = {"roots": {}}
        await peer.ask(opening)
        await peer.send(peer.call(1, "roots"))
        ask = await peer.expect("roots/list")
        await peer.send_bytes(json.dumps(result(ask["id"], {"roots": []})).encode()[:-9])
        await peer.end()
        await peer.rest()
    assert seen == ["ConnectionLost"]
