"""The views of `--workers`: one for each process, all behind the page of `trimcp view`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import orjson
import pytest
import trio

from tests.programs import PATIENCE
from tests.view.conftest import AT, SHOP, printed, printing
from trimcp.view import sockets
from trimcp.view.places import asked, place_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")


async def test_the_views_of_all_workers_are_behind_one_page(runtime: Path) -> None:
    with printing("run", str(SHOP), "--http", "0", "--workers", "2", "--view", "--grace", "0.2") as server:
        printed(server, "by 2 workers")
        workers = sockets.running()
        assert len(workers) == 2
        assert server.pid not in workers
        with printing("view", "--no-browser") as page:
            place = place_of(printed(page, AT)[1])
            with trio.fail_after(PATIENCE):
                async with asked(place, "/processes") as answer:
                    listed = orjson.loads(await answer.read_all())
                assert listed == [{"pid": pid, "name": "shop", "path": f"{pid}/"} for pid in workers]
                for pid in workers:
                    async with asked(place, f"/{pid}/events?trace=0") as answer:
                        assert f'"pid":{pid}'.encode() in await answer.read()
                old = set(workers)
                server.send_signal(signal.SIGHUP)  # the workers are replaced one by one
                await trio.to_thread.run_sync(printed, server, "updated 2 workers")
                async with asked(place, "/processes") as answer:
                    found = {process["pid"] for process in orjson.loads(await answer.read_all())}
            assert len(found) == 2
            assert not found & old
            assert not any(sockets.path_of(pid).exists() for pid in old)
