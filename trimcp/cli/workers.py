"""`trimcp run FILE --http --workers N`: several processes that serve the same addresses and share a store.

The first process is the supervisor, which does not load the file. It starts the same command N times more, with a
variable in the environment that makes each of these a worker. See `trimcp.server.workers`.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio

from trimcp.cli.bindings import HTTP, WEBSOCKET, Address, bindings_of
from trimcp.cli.viewed import viewed
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.server.app import Server
    from trimcp.server.workers.process import WorkerPlace
    from trimcp.server.workers.worker_bus import WorkerBus
    from trimcp.stores.store import Store


def run_workers(load: Callable[[], Server], options: argparse.Namespace) -> int:
    """Serve until a signal arrives; return the exit code, of the supervisor the highest of the workers.

    Raises:
        UsageError: the address cannot be listened on, the workers cannot share the store of the server, or the system
            is Windows.
    """
    from trimcp.server.workers.process import WorkerPlace

    if sys.platform == "win32":
        raise UsageError("--workers needs a system where processes share sockets: leave it out here")
    place = WorkerPlace.taken_from(os.environ)
    return trio.run(_supervise, options) if place is None else _work(load(), options, place)


async def _supervise(options: argparse.Namespace) -> int:
    from trimcp.server.workers.port import SharedAddress, SharedPath, SharedPort
    from trimcp.server.workers.supervisor import supervise

    http: Address | None = options.hypercorn or options.http
    websocket: Address | None = options.websocket
    addresses: dict[str, SharedAddress] = {}
    with ExitStack() as stack:
        if options.uds is not None:
            addresses[HTTP] = stack.enter_context(await SharedPath.bound(options.uds))
        elif http is not None:
            addresses[HTTP] = stack.enter_context(SharedPort(http.host, http.port))
        if websocket is not None:
            addresses[WEBSOCKET] = stack.enter_context(SharedPort(websocket.host, websocket.port))
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="trimcp-"))
        return await supervise([sys.executable, *sys.orig_argv[1:]], options.workers, addresses, directory)


def _work(server: Server, options: argparse.Namespace, place: WorkerPlace) -> int:
    from trimcp.server.process import run_listening
    from trimcp.server.workers.worker_bus import WorkerBus

    bus = WorkerBus(_adopted(place.link))
    sockets = {name: [_adopted(descriptor) for descriptor in each] for name, each in place.sockets.items()}
    server.store = _shared_store(server.store, bus, place.directory, is_alone=options.workers == 1)
    bindings = bindings_of(server, options, sockets=sockets)
    urls: list[str] = []

    def on_listening(url: str) -> None:
        urls.append(url)
        if len(urls) == len(bindings):
            bus.tell_ready(f"{server.name} on {' and '.join(urls)}")

    return run_listening(viewed(server, options), bindings, on_listening=on_listening)


def _shared_store(store: Store | None, bus: WorkerBus, directory: str, *, is_alone: bool) -> Store:
    """Return the store of a worker: that of the server, or a file of the workers and of their successors.

    Raises:
        UsageError: the store lives in one process.
    """
    from trimcp.server.workers.worker_bus import WorkerStore
    from trimcp.stores import MemoryStore, SQLite

    if store is None:
        return WorkerStore(SQLite(os.path.join(directory, "state.db")), bus, has_bus=False)
    if isinstance(store, MemoryStore) or not store.is_shared:
        if is_alone:
            return store
        raise UsageError("--workers needs a store that processes share: give --store sqlite:FILE or valkey://HOST")
    return WorkerStore(store, bus, has_bus=True)


def _adopted(descriptor: int) -> socket.socket:
    """Return the socket with an inherited descriptor, which programs that the worker starts do not inherit."""
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    return sock
