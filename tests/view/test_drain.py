"""The report of a drain: on the page and on stderr, whether a page or a signal began it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.programs import PATIENCE
from tests.view.conftest import AT, SHOP, printed, printing
from trimcp.view.places import Watched, asked, place_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")


async def last_state(address: str, drain: Any) -> dict[str, Any]:
    """Look at a view until its server has ended; return the last state of the server. `drain`: begins its end."""
    watched, place = Watched(), place_of(address)
    with trio.fail_after(PATIENCE):
        async with asked(place, "/events?trace=0") as answer:
            # The customer of the shop waits for bread, which never comes.
            while "'name': 'bake'" not in str(watched.sections):
                data = await answer.read()
                assert data
                watched.feed(data)
            await drain(place)
            while data := await answer.read():
                watched.feed(data)
    return watched.sections["server"]


@pytest.mark.parametrize("binding", [[], ["--http", "0"]], ids=["stdio", "HTTP"])
@pytest.mark.parametrize("by", ["page", "signal"])
async def test_the_report_of_a_drain_is_on_the_page_and_on_stderr(binding: list[str], by: str, runtime: Path) -> None:
    options = ["--view", "--view-control", "--grace", "1"]
    with printing("run", str(SHOP), *binding, *options) as server:

        async def drain(place: Any) -> None:
            if by == "signal":
                server.send_signal(signal.SIGTERM)
                return
            async with asked(place, "/do/drain", method="POST", body=b"{}", kind="application/json") as answer:
                assert answer.status == 200

        state = await last_state(printed(server, AT)[1], drain)
        report = state["drain"]
        assert (report["cancelled"], report["lost"]) == (1, 0)
        shown = f"shop drained: {report['finished']} finished, 1 cancelled, 0 lost\n"
        assert printed(server, shown)


async def test_each_page_gets_a_whole_stream_when_its_server_has_drained(tmp_path: Path) -> None:
    # A browser drops the last event, the report, where the stream ends without its last chunk.
    server, path = trimcp.Server("shop"), tmp_path / "view.sock"
    async with server.running(), trio.open_nursery() as nursery:
        await nursery.start(server.serve_view, path)
        pages = [await trio.open_unix_socket(path) for _ in range(8)]
        for page in pages:
            await page.send_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b"200 OK" in await page.receive_some()
        await server.drain(0)
        for page in pages:
            data = b""
            with trio.fail_after(PATIENCE):
                while more := await page.receive_some():
                    data += more
            assert b'"drain":{"finished":0' in data
            assert data.endswith(b"\r\n0\r\n\r\n")
            await page.aclose()
