"""`trimcp run FILE --hypercorn --workers N`: several processes that share one listening socket.

The file is loaded once, before the processes part, so that all of them have the same keys: what one
of them gave a client to keep is known to the others. A session would live in one of them and be
unknown to the rest, so only 2026-07-28, which has none, is served.

The supervisor here is plain and synchronous. It forks, forwards signals, and makes a new process
where one has died; a worker that finds its supervisor gone drains by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from trimcp.cli import exits
from trimcp.cli.doors import Address, doors_of
from trimcp.errors import TrimcpError, UsageError
from trimcp.transports.listener import BACKLOG
from trimcp.transports.socket import reason
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.server.app import Server

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
TOO_SOON: Final = 2.0
"""Seconds that a worker must have lived to be replaced: one that dies at once would die again."""


def run_workers(server: Server, options: argparse.Namespace) -> int:
    """Serve until a signal comes; return the worst of the workers' exit codes.

    Raises:
        UsageError: the address cannot be listened on; the server does not speak 2026-07-28; this is Windows.
    """
    if not hasattr(os, "fork"):
        raise UsageError("--workers needs a system that can fork")
    server.revisions = tuple(revision for revision in server.revisions if revision.era is Era.MODERN)
    if not server.revisions:
        raise UsageError("workers share no sessions, and this server speaks no revision that can do without")
    return _Supervisor(server, options, _bind(options.hypercorn)).run()


def _bind(address: Address) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, name = found[0]
        return socket.create_server(name[:2], family=family, backlog=BACKLOG)
    except OSError as exc:
        raise UsageError(f"cannot listen on tcp {address}: {reason(exc)}") from exc


class _Supervisor:
    """The process that the others are made by."""

    def __init__(self, server: Server, options: argparse.Namespace, listening: socket.socket) -> None:
        self._server = server
        self._options = options
        self._listening = listening
        self._born: dict[int, float] = {}
        self._stopping = False
        self._announced = False
        # Whoever reads from it sees the end of its writer, which is this process.
        self._lifeline, self._held = os.pipe()

    def run(self) -> int:
        """Keep them running until the end."""
        before = {number: signal.signal(number, self._pass_on) for number in SIGNALS}
        code = exits.OK
        try:
            for _ in range(self._options.workers):
                self._start()
            while self._born:
                pid, status = os.wait()
                code = max(code, self._ended(pid, os.waitstatus_to_exitcode(status)))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._listening.close()
            os.close(self._lifeline)
            os.close(self._held)
        return code

    def _start(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal in between would be forwarded to all but the new one, or run our handler in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = 0 if self._stopping else os.fork()
            if pid == 0 and not self._stopping:
                self._work()
            elif pid:
                self._born[pid] = time.monotonic()
                self._announced = True
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _ended(self, pid: int, code: int) -> int:
        """Note that a process has ended, and what that is worth."""
        lived = time.monotonic() - self._born.pop(pid, 0.0)
        if self._stopping:
            return exits.FAILED if code < 0 else code
        print(f"trimcp: worker {pid} ended with {code}", file=sys.stderr, flush=True)
        if lived >= TOO_SOON:
            self._start()
            return exits.OK
        self._stop(signal.SIGTERM)
        return exits.FAILED if code <= 0 else code

    def _pass_on(self, number: int, frame: object) -> None:
        self._stop(number)

    def _stop(self, number: int) -> None:
        self._stopping = True
        for pid in list(self._born):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- in a worker ------------------------------------------------------------------

    def _work(self) -> None:
        """Serve, and end this process."""
        # Ctrl-C reaches every process of a terminal's group; a worker is told by its supervisor alone.
        os.setpgid(0, 0)
        os.close(self._held)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        threading.Thread(target=self._watch_supervisor, daemon=True).start()
        code = exits.FAILED
        try:
            code = self._serve()
        except Exception as exc:  # noqa: BLE001 - nothing may go on in the supervisor's code
            if all(isinstance(each, TrimcpError) for each in exits.failures(exc)):
                code = exits.told(exc)
            else:
                sys.excepthook(type(exc), exc, exc.__traceback__)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _serve(self) -> int:
        from trimcp.server.process import run_listening

        quiet = (lambda where: None) if self._announced else None
        doors = doors_of(self._server, self._options, sockets=[self._listening])
        return run_listening(self._server, doors, on_listening=quiet)

    def _watch_supervisor(self) -> None:
        os.read(self._lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)
