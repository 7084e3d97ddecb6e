"""Viewers of a server under load: one that never reads is dropped, and the server answers on; what is recorded."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.programs import PATIENCE
from tests.view.test_http import Stuck
from trimcp.view import publisher as publishing
from trimcp.view.figures import Figures
from trimcp.view.places import Watched, asked, place_of
from trimcp.view.publisher import RECORDED, RECORDS, Publisher

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")


async def test_a_viewer_that_never_reads_is_dropped_while_the_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "INTERVAL", 0.01)
    monkeypatch.setattr(publishing, "DROPPED_AFTER", 0.1)
    server = trimcp.Server("busy")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    answered = 0
    path = tmp_path / "view.sock"
    with trio.fail_after(PATIENCE):
        async with server.running(), trio.open_nursery() as nursery, trimcp.connect(server) as client:
            await nursery.start(server.serve_view, path)
            deaf = await trio.open_unix_socket(path)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await deaf.send_all(b"GET /events?trace=1 HTTP/1.1\r\nhost: localhost\r\n\r\n")

            async def work() -> None:
                nonlocal answered
                while True:
                    assert await client.call_tool("add", {"a": answered, "b": 1}, returns=int) == answered + 1
                    answered += 1

            watched = Watched()
            async with asked(place_of(str(path)), "/events?trace=0") as answer:
                nursery.start_soon(work)
                while not watched.sections.get("server", {}).get("viewers_dropped"):
                    watched.feed(await answer.read())
                # This one reads, and the server answers as before.
                at_the_drop = answered
                while watched.sections["tool:tools/call add"]["count"] < at_the_drop + 100:
                    watched.feed(await answer.read())
            assert watched.sections["server"]["viewers_dropped"] == 1
            assert not watched.sections["server"]["recording"]  # no viewer wants the messages any more
            received = b""
            with contextlib.suppress(trio.BrokenResourceError):
                while data := await deaf.receive_some():
                    received += data
            assert not received.endswith(b"\r\n0\r\n\r\n")  # it was broken off
            await deaf.aclose()
            nursery.cancel_scope.cancel()


async def test_of_a_flood_some_messages_are_recorded_and_the_others_counted(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    publisher = Publisher(trimcp.Server("flooded")._runs, Figures(), control=False, trace=False)
    page, trace = Stuck(), publisher.trace
    assert publisher.join(page, reads_trace=True)
    publisher.publish()
    for _ in range(RECORDED + 5):
        trace.refused("tools/call", "busy")
    assert trace.last == RECORDED
    publisher.publish()
    assert f'"missed":{RECORDED - RECORDS + 5}'.encode() in page.written[-1]
    trace.refused("tools/call", "busy")
    assert trace.last == RECORDED + 1
    publisher.end()
    always = Publisher(trimcp.Server("flooded")._runs, Figures(), control=False, trace=True)
    assert always.join(Stuck(), reads_trace=True)
    always.publish()
    for _ in range(2 * RECORDED):
        always.trace.refused("tools/call", "busy")
    assert always.trace.last == 2 * RECORDED
    always.end()
