"""`trimcp run --record` where several processes serve: each writes a file of its own."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
import trio

import trimcp
from tests.process.by_http import call, listening
from tests.process.children import ran
from tests.programs import PATIENCE, ROOT
from trimcp.recording.format import read_recording

SERVER = """
import trimcp

server = trimcp.Server("changing")


@server.tool
def {name}() -> str:
    return "{name}"
"""


def calls_in(path: Path) -> list[str]:
    """Return the names of the tools that were called."""
    messages = [entry.message for entry in read_recording(path).entries if entry.kind == "request"]
    return [message["params"]["name"] for message in messages if message["method"] == "tools/call"]


@pytest.mark.skipif(sys.platform == "win32", reason="no workers")
async def test_each_worker_writes_the_next_free_file(tmp_path: Path) -> None:
    (tmp_path / "session.1.ndjson").write_text("of another day")
    options = ["--http", "0", "--workers", "2", "--record", str(tmp_path / "session.ndjson")]
    async with listening(*options) as there:
        for _ in range(20):
            await there.ask(call("add", a=1, b=2))
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0
    written = sorted(tmp_path.iterdir())
    assert [path.name for path in written] == [f"session.{number}.ndjson" for number in (1, 2, 3)]
    assert written[0].read_text() == "of another day"
    assert sum(len(calls_in(path)) for path in written[1:]) == 20


async def test_each_process_of_a_server_that_is_reloaded_writes_a_file(tmp_path: Path) -> None:
    file, record = tmp_path / "changing.py", tmp_path / "session.ndjson"
    file.write_text(SERVER.format(name="first"))
    command = [sys.executable, "-m", "trimcp", "run", str(file), "--reload", "--record", str(record)]
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(command, env={"PYTHONPATH": str(ROOT)}, revision="2025-11-25", cache=False) as client:
            await client.call_tool("first")
            async with client.notices() as notices:
                file.write_text(SERVER.format(name="second"))
                await anext(notices)  # the list of tools has changed
                await client.call_tool("second")
    assert calls_in(tmp_path / "session.1.ndjson") == ["first"]
    assert calls_in(tmp_path / "session.2.ndjson") == ["second"]
    done = ran([sys.executable, "-m", "trimcp", "replay", str(tmp_path / "session.2.ndjson"), str(file)], b"")
    assert done.returncode == 0, done.stdout
