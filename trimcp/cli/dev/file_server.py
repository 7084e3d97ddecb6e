"""Serves a file by a process of its own, and by another one after each change. The port stays open in between.

The process before goes on until the new one listens, and where the new one does not start; unless the server holds
something that only one process can have.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Final

import trio

from trimcp.cli.bindings import HTTP
from trimcp.cli.dev.desk import Desk
from trimcp.observability.stderr import write_line
from trimcp.server.workers.hub import BusHub
from trimcp.server.workers.port import SharedPort
from trimcp.server.workers.process import WorkerProcess
from trimcp.view import sockets
from trimcp.view.places import Place

SHOWN: Final = 16 * 2**10
"""Characters of the end of stderr that a page shows of a process that did not start."""


class FileServer:
    """Keeps one process that serves the file as it is now."""

    def __init__(
        self, command: Sequence[str], port: SharedPort, directory: str, desk: Desk, *, overlaps: bool = True
    ) -> None:
        """
        Args:
            command: starts a process that serves the file.
            port: where it is served.
            directory: for what the server keeps from one process to the next.
            desk: shows the view of the process, and what goes wrong.
            overlaps: whether the process before goes on until the new one listens.
        """
        self._command = command
        self._sockets = {HTTP: port.open()}
        self._directory = directory
        self._desk = desk
        self._overlaps = overlaps
        self._hub = BusHub()
        self._serving: WorkerProcess | None = None
        """The process that serves."""

    async def run(self, changed: trio.MemoryReceiveChannel[str]) -> None:
        """Serve until cancelled.

        Args:
            changed: brings the names of changed files.
        """
        try:
            async with trio.open_nursery() as nursery:
                await self._replace(nursery, "")
                async for names in changed:
                    write_line(f"trimcp: {names} changed: the server starts again")
                    await self._replace(nursery, names)
        finally:
            for sock in self._sockets[HTTP]:
                sock.close()

    async def _replace(self, nursery: trio.Nursery, names: str) -> None:
        """Start a process; when it listens, let it take the place of the one before."""
        self._show("starting", names)
        if not self._overlaps:
            await self._end_serving()
        before = self._serving
        process = WorkerProcess(self._command, self._sockets, self._directory, self._hub, keeps_stderr=True)
        nursery.start_soon(self._watch, process)
        await process.settled.wait()
        if not process.is_ready:
            has_before = before is not None and not before.ended.is_set()
            write_line(
                "trimcp: the server did not start: "
                + ("the one before goes on" if has_before else "it starts again when a file changes")
            )
            self._show("kept" if has_before else "failed", names, process)
            return
        self._serving = process
        if before is None:
            write_line(f"trimcp: {process.shown}")
        else:
            before.send_signal(signal.SIGTERM)
        self._desk.move(_place_of(process))
        self._desk.clients.connect_again()
        self._show("running", names)

    async def _end_serving(self) -> None:
        """End the process that serves, if there is one, and wait until it has ended."""
        process, self._serving = self._serving, None
        if process is not None:
            self._desk.move(None)
            process.send_signal(signal.SIGTERM)
            await process.ended.wait()

    async def _watch(self, process: WorkerProcess) -> None:
        """Run a process to its end, and show that the server does not run any more."""
        await process.run()
        if self._serving is process:
            self._serving = None
            self._desk.move(None)
            write_line(f"trimcp: the server has ended with {process.code}: it starts again when a file changes")
            self._show("failed", "", process)

    def _show(self, state: str, names: str, failed: WorkerProcess | None = None) -> None:
        text = "" if failed is None else failed.said.decode(errors="replace")[-SHOWN:]
        self._desk.show({"state": state, "changed": names, "text": text, "since": time.time()})


def _place_of(process: WorkerProcess) -> Place | None:
    """Return the place of the view of a process, which is there since it listens."""
    path = None if process.pid is None else sockets.path_of(process.pid)
    return None if path is None or not os.path.exists(path) else Place(str(path))
