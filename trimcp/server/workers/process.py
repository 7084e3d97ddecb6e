"""One worker process, as the supervisor sees it: what it is given, its link, its signals and its end."""

from __future__ import annotations

import functools
import itertools
import json
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Final

import attrs
import trio

from trimcp.observability.stderr import write_line
from trimcp.server.workers.hub import BusHub
from trimcp.server.workers.link import Kind, Link

VARIABLE: Final = "TRIMCP_WORKER"
"""The environment variable that makes a process a worker: its `WorkerPlace` as JSON."""
SAID_BYTES: Final = 32 * 2**10
"""Bytes of the stderr of a worker that are kept, the last ones."""
LAST_WORDS: Final = 0.5
"""Seconds to read the rest of the stderr of a worker that has ended."""


@attrs.frozen
class WorkerPlace:
    """Holds what a worker is given: descriptors, and a directory for files that all workers share."""

    link: int
    sockets: Mapping[str, Sequence[int]]
    """By the name of the address."""
    directory: str

    def as_json(self) -> str:
        """Return it as JSON, for the environment."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> WorkerPlace | None:
        """Take the place of this process out of its environment; return None if it is no worker."""
        text = environment.pop(VARIABLE, None)  # programs that a worker starts are no workers
        if text is None:
            return None
        found = json.loads(text)
        return cls(found["link"], found["sockets"], found["directory"])


class WorkerProcess:
    """A process that serves, from its start to its end."""

    def __init__(
        self,
        command: Sequence[str],
        sockets: Mapping[str, Sequence[socket.socket]],
        directory: str,
        hub: BusHub,
        *,
        keeps_stderr: bool = False,
    ) -> None:
        """
        Args:
            command: starts a process that finds its `WorkerPlace` in the environment.
            sockets: the worker accepts connections on these, which have the names of their addresses; they stay open
                here.
            directory: for files that all workers share.
            hub: relays the messages of the worker.
            keeps_stderr: whether the end of what the worker writes to stderr is kept in `said`.
        """
        self._keeps_stderr = keeps_stderr
        self.said: bytes = b""
        """The last bytes of its stderr, if they are kept."""
        self._command = command
        self._sockets = sockets
        self._directory = directory
        self._hub = hub
        self._process: trio.Process | None = None
        self._signals: list[int] = []
        """Signals that came before the process was there."""
        self.born: float = trio.current_time()
        self.shown: str | None = None
        """The server and its URL, for people; None before the worker listens."""
        self.code: int = 1
        """The exit code, or minus the signal that ended the process; 1 if it could not be started."""
        self.settled: trio.Event = trio.Event()
        """Set when the worker listens, or has ended."""
        self.ended: trio.Event = trio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether the worker has listened."""
        return self.shown is not None

    @property
    def pid(self) -> int | None:
        """The id of the process, once it has started."""
        return None if self._process is None else self._process.pid

    @property
    def name(self) -> str:
        """The process, for people."""
        return f"worker {'' if self._process is None else self._process.pid}".rstrip()

    def send_signal(self, number: int) -> None:
        """Send the process a signal, also if it has not started yet, or has ended."""
        if self._process is None:
            self._signals.append(number)
        elif not self.ended.is_set():
            self._process.send_signal(number)

    async def run(self) -> None:
        """Start the process, and wait for its end."""
        try:
            await self._run()
        finally:
            self.settled.set()
            self.ended.set()

    async def _run(self) -> None:
        ours, theirs = socket.socketpair()
        link = Link(ours)
        try:
            async with trio.open_nursery() as nursery:
                with theirs:
                    process: trio.Process = await nursery.start(self._starter(theirs.fileno()))
                self._process = process
                for number in self._signals:
                    process.send_signal(number)
                nursery.start_soon(link.write)
                nursery.start_soon(self._receive, link)
                heard = trio.Event()
                nursery.start_soon(self._pass_stderr_on, process, heard)
                self.code = await process.wait()
                with trio.move_on_after(LAST_WORDS):  # a program that the worker has started may keep the pipe open
                    await heard.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._hub.leave(link)
            link.close()

    async def _pass_stderr_on(self, process: trio.Process, heard: trio.Event) -> None:
        if process.stderr is not None:
            rest = b""
            async for data in process.stderr:
                self.said = (self.said + data)[-SAID_BYTES:]
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    write_line(line.decode(errors="replace"))
                rest = rest[-SAID_BYTES:]
        heard.set()

    def _starter(self, link: int) -> Callable[..., Awaitable[object]]:
        sockets = {name: [sock.fileno() for sock in each] for name, each in self._sockets.items()}
        place = WorkerPlace(link, sockets, self._directory)
        return functools.partial(
            trio.run_process,
            self._command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE if self._keeps_stderr else None,
            check=False,
            env={**os.environ, VARIABLE: place.as_json()},
            pass_fds=(link, *itertools.chain.from_iterable(sockets.values())),
            # Ctrl-C reaches every process of the terminal's group; only the supervisor shall stop a worker.
            process_group=0,
        )

    async def _receive(self, link: Link) -> None:
        while frames := await link.receive():
            for frame in frames:
                if frame.kind is Kind.READY:
                    self.shown = frame.data.decode()
                    self.settled.set()
                else:
                    self._hub.take(frame, link)
