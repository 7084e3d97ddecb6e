"""The report of a drain: on the page and on stderr, whoever has asked for the drain."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.programs import PATIENCE
from tests.view.conftest import AT, SHOP, printed, printing
from trimcp.view.places import Watched, asked, place_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")


async def last_state(address: str, drain: Any) -> dict[str, Any]:
    """Look at a view until its server has ended; return the last state of the server. `drain`: begins its end."""
    watched, place = Watched(), place_of(address)
    with trio.fail_after(PATIENCE):
        async with asked(place, "/events?trace=0") as answer:
            while not watched.feed(await answer.read()):
                pass
            await drain(place)
            while data := await answer.read():
                watched.feed(data)
    return watched.sections["server"]


@pytest.mark.parametrize("binding", [[], ["--http", "0"]], ids=["stdio", "HTTP"])
@pytest.mark.parametrize("by", ["page", "signal"])
async def test_the_report_of_a_drain_is_on_the_page_and_on_stderr(binding: list[str], by: str, runtime: Path) -> None:
    options = ["--view", "--view-control", "--grace", "0.2"]
    with printing("run", str(SHOP), *binding, *options) as server:

        async def drain(place: Any) -> None:
            if by == "signal":
                server.send_signal(signal.SIGTERM)
                return
            async with asked(place, "/do/drain", method="POST", body=b"{}", kind="application/json") as answer:
                assert answer.status == 200

        # The customer of the shop waits for bread, which never comes.
        state = await last_state(printed(server, AT)[1], drain)
        report = state["drain"]
        assert (report["cancelled"], report["lost"]) == (1, 0)
        shown = f"shop drained: {report['finished']} finished, 1 cancelled, 0 lost\n"
        assert printed(server, shown)
