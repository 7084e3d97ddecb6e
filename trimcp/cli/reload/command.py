"""Runs `trimcp run --reload`: the server in a process of its own, started again when a file changes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import trio

from trimcp.cli import exit_codes as exits
from trimcp.cli.reload.bridge import Bridge
from trimcp.cli.reload.files import check_installed, watch_files
from trimcp.observability.stderr import write_line
from trimcp.transports.duplex import Duplex

VARIABLE: Final = "TRIMCP_RELOADED"
"""Tells the process of the server that it is one. The server takes it out of its environment."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
MESSAGE_BYTES: Final = 32 * 2**20


def is_reloaded() -> bool:
    """Return whether this is the process of a server that is reloaded."""
    return os.environ.pop(VARIABLE, None) is not None


def run_reloading(options: argparse.Namespace, path: str, *, stdio: bool) -> int:
    """Run the server again after each change of a file; return the exit code.

    Args:
        options: those of `run`, with the words that they come from.
        path: the file of the server.
        stdio: whether it serves stdio; otherwise it listens.

    Raises:
        UsageError: watchfiles is not installed.
    """
    check_installed()
    level = () if options.log_level is None else ("--log-level", options.log_level)
    command = [sys.executable, "-m", "trimcp", *level, "run", *options.given]
    folders = [os.path.dirname(os.path.abspath(path)), *options.reload_dir]
    if not stdio:
        return trio.run(_reload_listening, command, folders)
    from trimcp.transports.stdio import stdio_set_aside

    with stdio_set_aside() as descriptors:
        return trio.run(_reload_stdio, command, folders, descriptors.read_fd, descriptors.write_fd)


def _say(text: str) -> None:
    write_line(f"trimcp: {text}")


# --- stdio ----------------------------------------------------------------------------


@attrs.frozen
class ChildProcess:
    """A server in a process, with its stdin and stdout."""

    duplex: Duplex
    pid: int

    def stop(self) -> None:
        """See `Child`."""
        os.kill(self.pid, signal.SIGTERM)


@asynccontextmanager
async def _started(command: Sequence[str]) -> AsyncIterator[ChildProcess]:
    from trimcp.transports.subprocess import server_process

    async with server_process(command, env={VARIABLE: "1"}, inherit_env=True, limit=MESSAGE_BYTES) as process:
        yield ChildProcess(process, process.pid)


async def _reload_stdio(command: Sequence[str], folders: Sequence[str], read_fd: int, write_fd: int) -> int:
    from trimcp.transports.stdio import stdio_duplex

    client = stdio_duplex(read_fd, write_fd, limit=MESSAGE_BYTES)
    send, receive = trio.open_memory_channel[str](1)
    async with trio.open_nursery() as nursery:
        bridge = Bridge(client, _say)
        await nursery.start(_end_on_signal, bridge, nursery.cancel_scope)
        await nursery.start(watch_files, folders, send)
        await bridge.run(partial(_started, command), receive)
        nursery.cancel_scope.cancel()
    return exits.OK


async def _end_on_signal(bridge: Bridge, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    """Let the server drain on a signal; end it at once on a second one."""
    with trio.open_signal_receiver(*SIGNALS) as received:
        task_status.started()
        await anext(received)
        bridge.end()
        await anext(received)
        scope.cancel()


# --- listening ------------------------------------------------------------------------


async def _reload_listening(command: Sequence[str], folders: Sequence[str]) -> int:
    """Run a server that listens, until it ends without an error, or a signal arrives."""
    send, receive = trio.open_memory_channel[str](1)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch_files, folders, send)
        code = await _Listening(command, receive).run()
        nursery.cancel_scope.cancel()
    return code


class _Listening:
    """Runs one process after the other, each with the same stderr."""

    def __init__(self, command: Sequence[str], changed: trio.MemoryReceiveChannel[str]) -> None:
        self._command = list(command)
        self._changed = changed
        self._process: trio.Process | None = None
        self._is_over = False
        """Whether a signal has arrived."""

    async def run(self) -> int:
        """Return the exit code of the last process."""
        code = exits.OK  # of a signal that arrives while no process runs
        async with trio.open_nursery() as nursery:
            await nursery.start(self._pass_on_signals, nursery.cancel_scope)
            code = await self._run_until_signal()
            nursery.cancel_scope.cancel()
        return code

    async def _run_until_signal(self) -> int:
        while True:
            code, names = await self._run_once()
            if self._is_over or (names is None and code in (exits.OK, exits.USAGE)):
                return code
            if names is None:
                _say(f"the server has ended with {code}: it starts again when a file changes")
                names = await self._changed.receive()
            _say(f"{names} changed: the server starts again")

    async def _run_once(self) -> tuple[int, str | None]:
        """Run a process until it ends, and end it when a file changes.

        Returns:
            Its exit code, and the names of the changed files, if they are why.
        """
        names: str | None = None

        async def drain_on_change(process: trio.Process) -> None:
            nonlocal names
            names = await self._changed.receive()
            process.terminate()

        # In a group of its own: Ctrl-C in the terminal reaches the server once, through us.
        options: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
        options |= {"env": {**os.environ, VARIABLE: "1"}, "stdin": None, "check": False}
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(partial(trio.run_process, self._command, **options))
            self._process = process
            nursery.start_soon(drain_on_change, process)
            await process.wait()
            nursery.cancel_scope.cancel()
        self._process = None
        return process.returncode or exits.OK, names

    async def _pass_on_signals(self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*SIGNALS) as received:
            task_status.started()
            async for number in received:
                self._is_over = True
                if self._process is None:
                    scope.cancel()
                else:
                    self._process.send_signal(number)
