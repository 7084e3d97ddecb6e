"""`trimcp dev`: processes that take over from each other, and the page that stays where they come and go."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio

import trimcp
from tests.programs import PATIENCE, write_at_once
from tests.view.conftest import AT, printed, printing, runtime
from trimcp.cli import main
from trimcp.cli.workers import _shared_store
from trimcp.stores import MemoryStore
from trimcp.view.places import Answer, Place, asked, place_of

__all__ = ["runtime"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes share no sockets")

SERVER = """
import trimcp
server = trimcp.Server("small")

@server.tool
def greet(name: str) -> str:
    return f"{GREETING} {name}"
"""


@attrs.define
class Stream:
    """A stream of events of the page."""

    answer: Answer
    held: bytes = b""

    async def until(self, name: str, fits: Callable[[Any], bool] = lambda members: True) -> Any:
        """Return the members of the next event of that name that fits."""
        with trio.fail_after(PATIENCE):
            while True:
                while b"\n\n" not in self.held:
                    data = await self.answer.read()
                    assert data, "the stream has ended"
                    self.held += data
                event, _, self.held = self.held.partition(b"\n\n")
                found, _, members = event.partition(b"\ndata: ")
                if found == b"event: " + name.encode() and fits(orjson.loads(members)):
                    return orjson.loads(members)


@asynccontextmanager
async def page_of(place: Place) -> AsyncIterator[Stream]:
    async with asked(place, "/client/events") as answer:
        assert answer.status == 200
        yield Stream(answer)


async def state_of(place: Place) -> Any:
    """The section of the server, as a page that opens the stream now gets it."""
    async with asked(place, "/events?trace=0") as answer:
        return (await Stream(answer).until("state"))["set"]["server"]


async def post(place: Place, path: str, **body: Any) -> int:
    async with asked(place, path, method="POST", body=orjson.dumps(body), kind="application/json") as answer:
        return answer.status


async def test_a_file_is_served_as_soon_as_it_can_be_loaded_and_again_after_the_process_has_died(
    tmp_path: Path, runtime: Path
) -> None:
    file = tmp_path / "small.py"
    file.write_text(f"{SERVER}\nraise ValueError('not yet')\n")
    with printing("dev", str(file), "--port", "0", "--view-port", "0", "--no-browser") as process:
        place = place_of((await trio.to_thread.run_sync(printed, process, AT))[1])
        async with page_of(place) as page:
            key = (await page.until("opened"))["key"]
            failed = await page.until("serving", lambda serving: serving["state"] == "failed")
            assert "ValueError: not yet" in failed["text"]
            assert (await state_of(place))["only_client"]
            assert await post(place, "/do/drain") == 409
            write_at_once(file, f"GREETING = 'Hello'\n{SERVER}")
            await page.until("serving", lambda serving: serving["state"] == "running")
            connected = await page.until("connection", lambda connection: connection["state"] == "connected")
            assert connected["words"] == [str(file)]
            asking = {"method": "tools/call", "params": {"name": "greet", "arguments": {"name": "Ada"}}}
            assert await post(place, f"/client/{key}/ask", number=1, **asking) == 200
            answer = await page.until("answer")
            assert answer["result"]["structuredContent"] == {"result": "Hello Ada"}
            served = await state_of(place)
            assert served["name"] == "small"
            os.kill(served["pid"], signal.SIGKILL)
            await page.until("serving", lambda serving: serving["state"] == "failed")
            assert (await state_of(place))["only_client"]
            write_at_once(file, f"GREETING = 'Hello again'\n{SERVER}")
            await page.until("serving", lambda serving: serving["state"] == "running")
            assert (await state_of(place))["pid"] != served["pid"]
        stranger = attrs.evolve(place, token="")
        for path in ("/", "/client/events", "/events"):
            async with asked(stranger, path) as refused:
                assert refused.status == 401


async def test_a_process_ends_before_the_next_one_where_both_cannot_run(tmp_path: Path, runtime: Path) -> None:
    file, lock = tmp_path / "small.py", tmp_path / "lock"
    taking = f"""
import contextlib, os

@contextlib.asynccontextmanager
async def taken(server):
    os.close(os.open({str(lock)!r}, os.O_CREAT | os.O_EXCL))
    try:
        yield
    finally:
        os.unlink({str(lock)!r})
"""
    text = taking + SERVER.replace('"small"', '"small", lifespan=taken')
    file.write_text(f"GREETING = 'Hello'\n{text}")
    options = ("--port", "0", "--view-port", "0", "--no-browser", "--one-process")
    with printing("dev", str(file), *options) as process:
        place = place_of((await trio.to_thread.run_sync(printed, process, AT))[1])
        async with page_of(place) as page:
            await page.until("serving", lambda serving: serving["state"] == "running")
            before = (await state_of(place))["pid"]
            write_at_once(file, f"GREETING = 'Hello again'\n{text}")
            await page.until("serving", lambda serving: serving["state"] == "starting")
            seen = await page.until("serving")
            assert (seen["state"], seen["changed"]) == ("running", "small.py")
            assert (await state_of(place))["pid"] != before


async def test_the_page_alone_is_served_for_a_command_and_its_policy_decides(tmp_path: Path) -> None:
    file = tmp_path / "small.py"
    file.write_text(f"GREETING = 'Hello'\n{SERVER}")
    command = ("--deny", "gr*", "--", sys.executable, "-m", "trimcp", "run", str(file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIMCP_CONSENT_DIR", str(tmp_path / "consent"))
        with printing("dev", "--view-port", "0", "--no-browser", *command) as process:
            place = place_of((await trio.to_thread.run_sync(printed, process, AT))[1])
            assert (await state_of(place))["only_client"]
            async with page_of(place) as page:
                key = (await page.until("opened"))["key"]
                connected = await page.until("connection", lambda connection: connection["state"] == "connected")
                assert connected["words"] == ["--", *command[3:]]
                asking = {"method": "tools/call", "params": {"name": "greet", "arguments": {"name": "Ada"}}}
                assert await post(place, f"/client/{key}/ask", number=1, **asking) == 200
                assert "refused" in (await page.until("answer"))["problem"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["none.py"], "there is no file none.py"),
        (["a.py", "b.py"], "is another one"),
        ([], "TARGET"),
        (["x.py", "--port", "70000"], "is not a port"),
    ],
)
def test_wrong_usage_is_told(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["dev", "--no-browser", *words])
    assert left.value.code == 2
    assert problem in capsys.readouterr().err


def test_one_worker_may_have_a_store_in_memory() -> None:
    store = MemoryStore()
    assert _shared_store(store, None, "", is_alone=True) is store  # type: ignore[arg-type]
    with pytest.raises(trimcp.UsageError, match="processes share"):
        _shared_store(store, None, "", is_alone=False)  # type: ignore[arg-type]
