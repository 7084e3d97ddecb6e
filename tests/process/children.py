"""Servers in processes of their own, spoken to by hand: lines in, lines out, signals, an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

ROOT: Final = Path(__file__).parents[2]
TEMPERAMENTS: Final = Path(__file__).with_name("temperaments.py")
PATIENCE: Final = 120.0
"""Seconds after which a test has hung: a machine that is busy may take ten to start Python once."""

RUN: Final = [sys.executable, "-m", "trimcp", "run", str(TEMPERAMENTS)]
SCRIPT: Final = [sys.executable, str(TEMPERAMENTS)]

META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "by hand", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def environment(**more: str) -> dict[str, str]:
    """Our environment, in which trimcp is found wherever the process runs."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    """A call of a tool in the modern era, which needs no handshake."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def initialize(version: str) -> list[dict[str, Any]]:
    """The handshake of the legacy era, from the client's side."""
    info = {"name": "by hand", "version": "0"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": info}
    return [
        {"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]


def lines_of(*messages: Any) -> bytes:
    """Messages as they go over the wire."""
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def ran(
    command: Sequence[str], data: bytes, *, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run it on some input to its end, as `printf … | server` does."""
    return subprocess.run(
        command, input=data, capture_output=True, timeout=PATIENCE, env=environment(**more), cwd=cwd, check=False
    )


def answers_in(output: bytes) -> dict[Any, Any]:
    """Answers by id. Every line must be a message."""
    return {message["id"]: message for message in map(json.loads, output.splitlines())}


def text_of(answer: Mapping[str, Any]) -> str:
    """The text of the first content block of a tool's result."""
    text: str = answer["result"]["content"][0]["text"]
    return text


class Child:
    """A server in a process, with its stdin left open."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.stderr = ""
        self._has_ended = False
        self._heard = trio.Condition()
        self._unread = b""

    async def send(self, *messages: Any) -> None:
        """Write messages to its stdin."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(lines_of(*messages))

    async def receive(self) -> Any:
        """Read one message from its stdout."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            data = await self.process.stdout.receive_some(65536)
            assert data, f"the server's output has ended; on stderr it said: {self.stderr}"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    async def says(self, text: str) -> None:
        """Wait until it has said that on stderr."""
        async with self._heard:
            while text not in self.stderr:
                assert not self._has_ended, f"it said on stderr: {self.stderr}"
                await self._heard.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait for its end."""
        return await self.process.wait()

    async def listen(self) -> None:
        """Take in stderr until it ends."""
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            async with self._heard:
                self.stderr += data.decode(errors="replace")
                self._heard.notify_all()
        async with self._heard:
            self._has_ended = True
            self._heard.notify_all()


@asynccontextmanager
async def child(command: Sequence[str], **more: str) -> AsyncIterator[Child]:
    """Start a server; it is killed on the way out if it has not ended."""
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**more),
        )
        try:
            async with trio.open_nursery() as nursery:
                started = Child(process)
                nursery.start_soon(started.listen)
                yield started
                nursery.cancel_scope.cancel()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                for stream in (process.stdin, process.stdout, process.stderr):
                    assert stream is not None
                    await stream.aclose()
                await process.wait()


def is_alive(pid: int) -> bool:
    """Whether the process runs: a zombie, which waits for somebody else to look, does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
