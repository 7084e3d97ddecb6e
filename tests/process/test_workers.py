"""`trimcp run --workers`: one address by several processes, which share sessions, die, are updated, and end."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import trimcp
from tests.process.by_http import LEGACY, Listening, listening, open_session, post
from tests.process.children import PATIENCE

WORKERS = ("--workers", "2", "--grace", "5")
PROGRAM = """
import os
import trimcp

server = trimcp.Server("temperaments")


@server.tool
def who() -> str:
    return f"VERSION {os.getpid()}"
"""


def workers_of(pid: int) -> set[int]:
    """The children of a process, whichever of its threads has started them."""
    lists = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return {int(child) for each in lists for child in each.split()}


def lives(pid: int) -> bool:
    """Whether a process runs, and does not wait for its parent to notice its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def becomes(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    with trio.fail_after(PATIENCE):
        while not condition():
            await trio.sleep(0.02)


async def called(there: Listening, session: str, tool: str, **arguments: object) -> str:
    """Call a tool in a session, on a connection of its own, which the kernel gives to any worker."""
    params = {"name": tool, "arguments": arguments}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with trio.fail_after(PATIENCE):
        answer = await there.ask(post(message, f"Mcp-Session-Id: {session}", f"MCP-Protocol-Version: {LEGACY}"))
    assert answer.status == 200, answer
    text: str = answer.message["result"]["content"][0]["text"]
    return text


async def in_session(there: Listening) -> str:
    """Open a session, and say that it is ready."""
    session = await open_session(there)
    fields = (f"Mcp-Session-Id: {session}", f"MCP-Protocol-Version: {LEGACY}")
    answer = await there.ask(post({"jsonrpc": "2.0", "method": "notifications/initialized"}, *fields))
    assert answer.status == 202
    return session


@pytest.mark.parametrize("binding", ["--http", "--hypercorn"])
async def test_a_session_is_served_by_every_worker(binding: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "trimcp", "run", str(program)]
    async with listening(binding, "127.0.0.1:0", *WORKERS, command=command) as there:
        assert ", by 2 workers\n" in there.server.stderr
        workers = workers_of(there.server.process.pid)
        session = await in_session(there)
        answered: set[int] = set()
        with trio.fail_after(PATIENCE):
            while answered != workers:
                answered.add(int((await called(there, session, "who")).split()[1]))
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0
    assert "Traceback" not in there.server.stderr


async def test_a_session_outlives_the_worker_that_opened_it(tmp_path: Path) -> None:
    async with listening("--http", "127.0.0.1:0", *WORKERS) as there:
        before = workers_of(there.server.process.pid)
        session = await in_session(there)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
            await there.server.says(f"worker {worker} ended with -9")
            await becomes(lambda: len(workers_of(there.server.process.pid)) == 2)
            assert await called(there, session, "add", a=1, b=2) == "3"
        assert not before & workers_of(there.server.process.pid)
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0


async def test_workers_end_with_their_supervisor() -> None:
    async with listening("--http", "127.0.0.1:0", *WORKERS) as there:
        workers = workers_of(there.server.process.pid)
        assert len(workers) == 2
        there.server.signal(signal.SIGKILL)
        await becomes(lambda: not any(map(lives, workers)))


async def test_a_new_version_of_the_program_is_served_after_a_signal(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("VERSION", "old"))
    command = [sys.executable, "-m", "trimcp", "run", str(program)]
    async with listening("--http", "127.0.0.1:0", *WORKERS, command=command) as there:
        session = await in_session(there)
        assert (await called(there, session, "who")).startswith("old")
        # Of another length: Python knows a file that has changed by its length and by the second of its change.
        program.write_text(PROGRAM.replace("VERSION", "newer"))
        there.server.signal(signal.SIGHUP)
        await there.server.says("updated 2 workers")
        for _ in range(4):
            assert (await called(there, session, "who")).startswith("newer")
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0


async def test_a_program_that_is_wrong_is_reported_once(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import trimcp\nserver = trimcp.Server('x', store=trimcp.stores.MemoryStore())")
    command = [sys.executable, "-m", "trimcp", "run", str(program), "--http", "127.0.0.1:0", *WORKERS]
    done = await trio.run_process(command, capture_stderr=True, check=False)
    assert done.returncode == 2
    expected = "--workers needs a store that processes share: give --store sqlite:FILE or valkey://HOST"
    assert done.stderr.decode() == f"trimcp: {expected}\n"


async def test_workers_share_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "adder.sock"
    async with listening("--uds", str(path), *WORKERS) as there:
        workers = workers_of(there.server.process.pid)
        session = await in_session(there)
        for worker in sorted(workers):
            os.kill(worker, signal.SIGKILL)
            assert await called(there, session, "add", a=1, b=2) == "3"  # by the other one
            await becomes(lambda: len(workers_of(there.server.process.pid)) == 2)
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0
    assert not path.exists()


async def test_workers_serve_web_sockets_beside_http() -> None:
    async with listening("--http", "127.0.0.1:0", "--websocket", "127.0.0.1:0", *WORKERS) as there:
        (port,) = re.findall(r" and ws://127\.0\.0\.1:(\d+)/mcp, by 2 workers\n", there.server.stderr)
        assert await called(there, await in_session(there), "add", a=1, b=2) == "3"
        with trio.fail_after(PATIENCE):
            async with trimcp.connect(f"ws://127.0.0.1:{port}/mcp") as client:
                assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0


async def test_workers_serve_clients_of_2024() -> None:
    """A message is posted on a connection of its own, so it reaches any of the workers."""
    async with listening("--http", "127.0.0.1:0", "--sse", *WORKERS) as there:
        host, port = there.address
        with trio.fail_after(PATIENCE):
            async with trimcp.connect(f"http://{host}:{port}/sse", transport="sse") as client:
                for number in range(12):
                    assert (await client.call_tool("add", {"a": number, "b": 1})).text == str(number + 1)
        async with await there.connect() as stream:
            await stream.send_all(b"GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            with trio.fail_after(PATIENCE):
                text = b""
                while not (found := re.search(rb"data: (\S+)", text)):
                    text += await stream.receive_some()
                for _ in range(12):
                    answer = await there.ask(post({"jsonrpc": "2.0", "method": "x"}, path=found[1].decode()))
                    assert answer.status == 202
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0
    assert "Traceback" not in there.server.stderr
