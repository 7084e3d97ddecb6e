"""Messages on a stream of lines: what stdio shares with every other such transport (basic/transports)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.requirements.traffic import HARD, everything, use
from tests.server.context.people import Household
from tests.session.peer import ALL, MODERN, PATIENCE, Peer, RawServer, discovered, error, notification, result
from trimcp.codec.envelope import read_message
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.memory import memory_pair

every_revision = pytest.mark.parametrize("version", ALL)


class Bytes(Duplex):
    """One end of a connection that keeps every byte that is written to it."""

    def __init__(self, inner: Duplex) -> None:
        self._inner = inner
        self.written = b""

    async def receive(self) -> Sequence[Frame]:
        return await self._inner.receive()

    def try_send(self, data: bytes) -> int:
        sent = self._inner.try_send(data)
        self.written += data[:sent]
        return sent

    async def send_all(self, data: bytes) -> None:
        self.written += data
        await self._inner.send_all(data)

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()

    @property
    def description(self) -> str:
        return self._inner.description


@every_revision
async def test_all_that_either_side_writes_is_one_message_of_utf_8_to_a_line(
    version: str, autojump_clock: MockClock
) -> None:
    server = everything()
    ours, theirs = (Bytes(end) for end in memory_pair(capacity=1 << 20))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, theirs)
            async with trimcp.connect(ours, revision=version, log_level="debug", **Household().options()) as client:
                await use(client, version)
            nursery.cancel_scope.cancel()
    for written in (ours.written, theirs.written):
        text = written.decode("utf-8")
        assert text.endswith("\n")
        assert "\r" not in text
        lines = text[:-1].split("\n")
        assert len(lines) > 20
        for line in lines:
            read_message(json.loads(line))
        # The hard text passed, with its line breaks escaped.
        assert any(HARD in str(json.loads(line)) or repr(HARD)[1:-1] in str(json.loads(line)) for line in lines)


@every_revision
async def test_garbage_from_a_server_makes_a_client_write_nothing(version: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
        if version == MODERN:
            await peer.send(discovered(opening["id"]))
        else:
            await peer.send(result(opening["id"], about))
            await peer.receive()
        await peer.send(
            b"Listening on port 80",
            b"\xff\xfe",
            b"[]",
            b"5",
            {"jsonrpc": "2.0"},
            {"jsonrpc": "2.0", "id": 99, "result": {}},
            error(98, -32601),
            notification("notifications/nothing"),
        )
        asked = await peer.receive()
        assert asked["method"] == ("server/discover" if version == MODERN else "ping")
        await peer.send(discovered(asked["id"]) if version == MODERN else result(asked["id"]))
        assert await peer.rest() == []

    with trio.fail_after(PATIENCE):
        async with trimcp.connect(RawServer(script), revision=version) as client:
            await trio.sleep(1)
            await client.ping()


@pytest.mark.parametrize("code", [-32601, -32602, -32600, -32603, -32000, -32099, -1, 0, 404])
async def test_whatever_error_an_old_server_makes_of_the_probe_it_is_an_old_server(
    code: int, autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(error((await peer.receive())["id"], code, data={"anything": [1]}))
        opening = await peer.receive()
        assert opening["method"] == "initialize"
        about: dict[str, Any] = {"protocolVersion": "2024-11-05", "capabilities": {}}
        await peer.send(result(opening["id"], {**about, "serverInfo": {"name": "old", "version": "1"}}))
        await peer.rest()

    with trio.fail_after(PATIENCE):
        async with trimcp.connect(RawServer(script)) as client:
            assert client.protocol_version == "2024-11-05"
