"""Several processes that serve at one address by hypercorn, and the one that minds them.

hypercorn's own workers learn of a stop only after what they have open has been cut, so they are
not used: the parent binds the address and makes one secret; each worker gets both through
`multiprocessing`, serves by `serve_worker`, and drains when it is told to end.

No worker knows of the others' sessions. That suits the modern revisions, where each request
stands alone and what a client keeps between them is sealed with the common secret; whoever
serves sessions of the older ones so must see to it that a client comes back to its worker.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.transports.http.hypercorn import DEFAULT_PORT, Address, Application, bind, serve_hypercorn

if TYPE_CHECKING:
    from hypercorn.config import Config

SHORT_LIFE: Final = 5.0
"""Seconds that a worker must live for another to take its place; one that ends earlier would end again."""
SECRET_BYTES: Final = 32


class Worker:
    """What one process needs to serve its share. It is pickled on its way there."""

    def __init__(self, index: int, sockets: Sequence[socket.socket], secret: bytes, argument: Any) -> None:
        self.index = index
        """Which of the workers it is, from 0. One that takes another's place has its number."""
        self.sockets = sockets
        """Where it listens, together with the others."""
        self.secret = secret
        """The same in all of them, and made anew by each `run_workers` that is not given one."""
        self.argument = argument
        """What `run_workers` was given for it."""


def run_workers(
    work: Callable[[Worker], int | None],
    argument: Any = None,
    *,
    workers: int,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    uds: str | os.PathLike[str] | None = None,
    secret: bytes | None = None,
    started: Callable[[Address], None] | None = None,
) -> int:
    """Run `work` in several processes until a signal ends them; return the exit code.

    SIGTERM and SIGINT are handed to the workers as SIGTERM, and waited for; a second one kills
    them. A worker that ends by itself is replaced, except soon after its start: then all end.
    Called in the main thread, of a program that `multiprocessing` can start again (its work is
    under `if __name__ == "__main__"`).

    Args:
        work: a function of a module, which serves (see `serve_worker`) and returns an exit code.
        argument: anything that can be pickled, for `work`.
        workers: how many.
        host: address to listen on; the default is reached from this machine alone.
        port: port number; 0 lets the system choose.
        uds: listen on a Unix socket of this path instead, open to this user alone.
        secret: for all of them; made if it is not given.
        started: told the address once it is bound.

    Raises:
        UsageError: the address cannot be listened on, or there is to be no worker.
    """
    if workers < 1:
        raise UsageError("there must be one worker at least")
    sockets, clean = trio.run(functools.partial(bind, host, port, uds))
    try:
        if started is not None:
            name = sockets[0].getsockname()
            started(name if isinstance(name, str) else name[:2])
        crew = _Crew(work, sockets, secret or secrets.token_bytes(SECRET_BYTES), argument)
        return crew.run(workers)
    finally:
        for sock in sockets:
            sock.close()
        clean()


async def serve_worker(
    app: Application,
    worker: Worker,
    *,
    drain: Callable[[], Awaitable[None]] | None = None,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    config: Config | None = None,
) -> None:
    """Serve a worker's share until the parent says that it is to end, or is no more.

    Args:
        app: an ASGI 3 application, such as `AsgiDoor`.
        worker: what this process was given.
        drain: awaited then, while the server still answers.
        certfile: certificate chain, for TLS; `keyfile` belongs to it.
        keyfile: its private key.
        config: as for `serve_hypercorn`.

    Raises:
        UsageError: see `serve_hypercorn`.
    """
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_wait_for_signals, shutdown)
        nursery.start_soon(_wait_for_orphanhood, shutdown)
        await serve_hypercorn(
            app,
            sockets=worker.sockets,
            certfile=certfile,
            keyfile=keyfile,
            config=config,
            shutdown=shutdown,
            drain=drain,
        )
        nursery.cancel_scope.cancel()


async def _wait_for_signals(shutdown: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            shutdown.set()


async def _wait_for_orphanhood(shutdown: trio.Event) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        await trio.to_thread.run_sync(parent.join, abandon_on_cancel=True)
        shutdown.set()


def _work(work: Callable[[Worker], int | None], worker: Worker) -> None:
    # Ctrl-C reaches the whole group; the parent passes it on as SIGTERM, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(work(worker))


class _Crew:
    """The processes, as the parent minds them."""

    def __init__(
        self, work: Callable[[Worker], int | None], sockets: Sequence[socket.socket], secret: bytes, argument: Any
    ) -> None:
        self._work = work
        self._make = functools.partial(Worker, sockets=sockets, secret=secret, argument=argument)
        # A fork would take along whatever threads and locks this process has.
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[SpawnProcess, tuple[int, float]] = {}
        self._stops = 0
        self._code = 0

    def run(self, workers: int) -> int:
        before = {number: signal.signal(number, self._told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for index in range(workers):
                self._start(index)
            while self._running:
                wait([process.sentinel for process in self._running])
                for process in [process for process in self._running if process.exitcode is not None]:
                    self._ended(process)
        finally:
            self._stop(kill=True)
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._code

    def _start(self, index: int) -> None:
        process = self._context.Process(
            target=_work, args=(self._work, self._make(index)), name=f"trimcp worker {index}", daemon=True
        )
        process.start()
        self._running[process] = index, time.monotonic()
        if self._stops:
            process.terminate()

    def _told(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1
        self._stop(kill=self._stops > 1)

    def _stop(self, *, kill: bool) -> None:
        for process in list(self._running):
            process.kill() if kill else process.terminate()

    def _ended(self, process: SpawnProcess) -> None:
        index, began = self._running.pop(process)
        code = process.exitcode or 0
        process.close()
        if self._stops:
            # Whoever was told before it could listen ended by the signal itself.
            self._code = self._code or (0 if code in (0, -signal.SIGTERM) else 1)
        elif time.monotonic() - began < SHORT_LIFE:
            log.error(events.WORKER_ENDED, worker=index, code=code)
            self._code = code if code > 0 else 1
            self._told(signal.SIGTERM, None)
        else:
            log.warning(events.WORKER_ENDED, worker=index, code=code)
            self._start(index)
