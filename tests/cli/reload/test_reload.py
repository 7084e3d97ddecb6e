"""`trimcp run --reload` in processes: a file changes, and the client goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.cli.conftest import Run
from tests.process.children import answers_in, call, lines_of, text_of
from tests.programs import PATIENCE, ROOT, write_at_once

SERVER = """
import trimcp

server = trimcp.Server("changing")


@server.tool
def {name}() -> str:
    return "{name}"
"""
SLOW = """async def first() -> str:
    import sys, trio
    print("it runs", file=sys.stderr, flush=True)
    await trio.sleep(0.2)"""
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


async def test_a_client_over_stdio_sees_the_new_tool(tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text(SERVER.format(name="first"))
    said: list[str] = []
    changed = trio.Event()

    def on_stderr(line: str) -> None:
        said.append(line)
        if "changing.py changed" in line:
            changed.set()

    command = [sys.executable, "-m", "trimcp", "run", str(file), "--reload"]
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(
            command, env=ENVIRONMENT, revision="2025-11-25", on_stderr=on_stderr, cache=False
        ) as client:
            assert [tool.name for tool in await client.list_tools()] == ["first"]
            async with client.notices() as notices:
                write_at_once(file, SERVER.format(name="second"))
                await changed.wait()
                await anext(notices)  # the list of tools has changed
                assert [tool.name for tool in await client.list_tools()] == ["second"]
                assert (await client.call_tool("second")).text == "second"
    assert sorted(said) == [  # two processes write them
        "trimcp: changing drained: no request was in flight",
        "trimcp: changing.py changed: the server starts again",
    ]


def test_a_signal_drains_over_stdio(tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text(SERVER.format(name="first").replace("def first() -> str:", SLOW))
    command = [sys.executable, "-m", "trimcp", "run", str(file), "--reload"]
    environment = {**os.environ, **ENVIRONMENT}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(lines_of(call(1, "first")).decode())
        process.stdin.flush()
        assert process.stderr.readline() == "it runs\n"
        process.send_signal(signal.SIGTERM)
        answers = answers_in(process.stdout.read().encode())
        assert text_of(answers[1]) == "first"
        assert process.wait(PATIENCE) == 0


def test_a_server_over_http_is_started_again(tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text(SERVER.format(name="first"))
    command = [sys.executable, "-m", "trimcp", "run", str(file), "--http", "127.0.0.1:0", "--reload"]
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stderr is not None
        assert "changing on http://" in process.stderr.readline()
        write_at_once(file, "import trimcp\n1 / 0\n")
        while "the server has ended with 1" not in (line := process.stderr.readline()):
            assert line
        write_at_once(file, SERVER.format(name="second"))
        assert "changing.py changed" in process.stderr.readline()
        url = process.stderr.readline().split()[-1]
        assert trio.run(_tools, url) == ["second"]
        process.terminate()
        assert process.wait(PATIENCE) == 0


async def _tools(url: str) -> list[str]:
    async with trimcp.connect(url) as client:
        return [tool.name for tool in await client.list_tools()]


def test_reload_and_workers_do_not_go_together(run: Run) -> None:
    done = run("run", str(ROOT / "examples" / "add.py"), "--hypercorn", "--workers", "2", "--reload")
    assert done.code == 2
    assert "--reload does not go with --workers" in done.err


def test_watchfiles_must_be_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = run("run", str(ROOT / "examples" / "add.py"), "--reload")
    assert done.code == 2
    assert "watchfiles is not installed: run pip install '.[dev]'" in done.err
