"""The same over sockets: our listener on TCP and on a Unix socket, and hypercorn."""

from __future__ import annotations

import functools
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypercorn.config import Config

import trimcp
from tests.http.clients import DRAINING, Legacy, Modern, initialize
from tests.http.raw import Http
from tests.http.wires import Answer, DirectWire, Wire
from tests.http.workshop import Workshop
from trimcp.http.asgi import hypercorn_server

PATIENCE = 60.0
KINDS = pytest.mark.parametrize("kind", ["tcp", "unix", "hypercorn"])


class PlainClientSocket(DirectWire):
    """A connection by a socket, made when it is first used."""

    def __init__(self, address: Any) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._address = address

    async def send(self, method: str, path: str, fields: Mapping[str, str], body: bytes) -> Answer:
        if self.stream is None:
            to = self._address
            stream: Any = await trio.open_unix_socket(to) if isinstance(to, str) else await trio.open_tcp_stream(*to)
            self.stream = stream  # it has what is needed of one
        return await super().send(method, path, fields, body)

    async def close(self) -> None:
        if self.stream is not None:
            await super().close()

    async def reset(self) -> None:
        """Leave without a goodbye."""
        stream: Any = self.stream
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()
        await trio.lowlevel.checkpoint()


class SocketHttp(Http):
    """A server at an address."""

    def __init__(self, server: trimcp.Server, nursery: trio.Nursery, address: Any) -> None:
        super().__init__("sockets", server, nursery)
        self.address = address
        self.over = trio.Event()

    def connect(self, capacity: int = 0) -> Wire:
        wire = PlainClientSocket(self.address)
        self._wires.append(wire)
        return wire


@asynccontextmanager
async def serving(kind: str, server: trimcp.Server, **options: Any) -> AsyncIterator[SocketHttp]:
    """A server that listens; at the end it is drained, and must return."""
    with tempfile.TemporaryDirectory() as folder, trio.fail_after(PATIENCE):
        if kind == "unix":
            serve = functools.partial(server.serve_http, uds=Path(folder) / "s", **options)
        elif kind == "tcp":
            serve = functools.partial(server.serve_http, port=0, **options)
        else:
            serve = functools.partial(server.serve_hypercorn, port=0, **options)
        async with trio.open_nursery() as nursery:
            address = await nursery.start(serve)
            http = SocketHttp(server, nursery, address)
            try:
                yield http
                await server.drain(1)
            finally:
                with trio.CancelScope(shield=True):
                    await http.leave()
        # The nursery has ended by itself: every task of the server's is over.


async def become(count: Any, expected: int) -> None:
    """Wait until the kernel has carried what was done."""
    while count() != expected:
        await trio.sleep(0.005)


@KINDS
async def test_both_eras(kind: str) -> None:
    shop = Workshop()
    shop.open("it")
    async with serving(kind, shop.server) as http:
        wire = http.connect()
        modern = Modern(http)
        for number in range(3):
            assert await (await modern.call("add", {"a": number, "b": 1}, on=wire)).text() == str(number + 1)
        messages = await (await modern.call("talk", {"name": "it"}, progressToken=1)).messages()
        assert len(messages) == 3
        legacy = await Legacy.open(http, on=wire)
        assert await (await legacy.call("talk", {"name": "it"}, token=1, on=wire)).text() == "it is done"
        assert len(await (await legacy.call("big", {"bytes": 3_000_000})).text()) == 3_000_000
        standing = await legacy.get()
        http.server.notify_tools_changed()
        assert (await standing.message())["method"] == "notifications/tools/list_changed"
        assert (await legacy.delete()).status == 204
        assert await standing.messages() == []


@KINDS
@pytest.mark.parametrize("tool", ["hold", "talk"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_is_lost_cancels_a_modern_request(kind: str, tool: str, how: str) -> None:
    shop = Workshop()
    async with serving(kind, shop.server) as http:
        wire = http.connect()
        assert isinstance(wire, PlainClientSocket)
        answer = await Modern(http).call(tool, {"name": "it"}, progressToken=1, on=wire)
        await shop.begun("it")
        if tool == "talk":
            await answer.message()
        await getattr(wire, how)()
        assert await shop.is_over("it") == "connection_lost"
        await become(lambda: http.callers, 0)
        assert await (await Modern(http).call("add", {"a": 1, "b": 1})).text() == "2"


@KINDS
async def test_a_connection_that_is_lost_in_a_session_is_resumed(kind: str) -> None:
    shop = Workshop()
    async with serving(kind, shop.server) as http:
        client = await Legacy.open(http)
        answer = await client.call("talk", {"name": "it"}, token=1)
        event = await answer.event()
        assert event is not None
        await answer.drop()
        shop.open("it")
        assert await shop.is_over("it") is None
        assert await (await client.get(event.id.decode())).text() == "it is done"


@KINDS
async def test_a_drain_under_load(kind: str) -> None:
    shop = Workshop()
    async with serving(kind, shop.server, health=True) as http:
        modern, legacy = Modern(http), await Legacy.open(http)
        standing, listening = await legacy.get(), await modern.listen(toolsListChanged=True)
        names = [f"{era} {number}" for era in ("modern", "legacy") for number in range(20)]
        answers = [await (modern if name[0] == "m" else legacy).call("hold", {"name": name}) for name in names]
        talking = await modern.call("talk", {"name": "sse"}, progressToken=1)
        for name in (*names, "sse"):
            await shop.begun(name)
        wires = [http.connect() for _ in range(3)]
        for wire in wires:
            await (await modern.call("add", {"a": 1, "b": 1}, on=wire)).result()
        reports = []

        async def drain() -> None:
            reports.append(await shop.server.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            await become(lambda: http.server.tree()[0].draining, 1)
            for refused in (
                await modern.call("add", {"a": 1, "b": 1}, on=wires[0]),
                await legacy.call("add", {"a": 1, "b": 1}, on=wires[1]),
                await initialize(http, on=wires[2]),
            ):
                assert (await refused.error())["code"] == DRAINING
                assert refused.status == 503
            for name in (*names, "sse"):
                shop.open(name)
            assert [await answer.text() for answer in answers] == names
            assert await talking.text() == "sse is done"
            assert (await listening.messages())[-1]["result"]
            assert await standing.messages() == []
        assert reports[0].finished == 41
        assert (reports[0].cancelled, reports[0].lost) == (0, 0)


@KINDS
async def test_a_program_that_cancels_the_server_leaves_nothing(kind: str) -> None:
    shop = Workshop()
    with trio.CancelScope() as scope:
        async with serving(kind, shop.server, sse=True) as http:
            client = await Legacy.open(http)
            await client.get()
            await http.ask("GET", "/sse")
            await Modern(http).listen(toolsListChanged=True)
            for name, call in (("modern", Modern(http).call), ("legacy", client.call)):
                await call("hold", {"name": name})
                await shop.begun(name)
            detached = await client.call("hold", {"name": "detached"})
            await shop.begun("detached")
            await detached.drop()
            scope.cancel()
    assert scope.cancelled_caught
    assert set(shop.ended) == {"modern", "legacy", "detached"}
    assert shop.server.tree() == ()


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_hypercorn_is_not_stopped_before_slow_readers_have_what_was_accepted(
    era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypercorn_server, "CUT_AFTER", 0.001)
    config = Config()
    config.graceful_timeout = 0.0
    shop = Workshop()
    async with serving("hypercorn", shop.server, config=config) as http:
        client = Modern(http) if era == "modern" else await Legacy.open(http)
        answer = await client.call("big", {"bytes": 6_000_000})
        await answer.begun()
        await shop.server.drain(5)
        assert len(await answer.text()) == 6_000_000


@KINDS
async def test_many_clients_come_and_go(kind: str) -> None:
    shop = Workshop()
    async with serving(kind, shop.server) as http:

        async def come(number: int) -> None:
            if number % 2:
                answer = await Modern(http).call("add", {"a": number, "b": 1})
                assert await answer.text() == str(number + 1)
            else:
                client = await Legacy.open(http)
                assert await (await client.call("add", {"a": number, "b": 1})).text() == str(number + 1)
                assert (await client.delete()).status == 204

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(come, number)
        await http.leave()
        await become(lambda: http.sessions, 0)
        assert http.callers == 0
