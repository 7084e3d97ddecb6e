"""Connected pairs over each medium, for the kit and for tests of their own."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from trimcp.transports.descriptors import Backend
from trimcp.transports.duplex import Duplex
from trimcp.transports.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trimcp.transports.listener import serve_lines
from trimcp.transports.memory import memory_pair
from trimcp.transports.socket import connect_tcp, connect_unix, socket_duplex
from trimcp.transports.stdio import stdio_duplex

Pair = tuple[Duplex, Duplex]


def open_descriptors() -> int:
    """How many descriptors this process has open.

    Compare with `<=`: a thread that an earlier test left behind may close its own meanwhile.
    """
    return len(os.listdir("/proc/self/fd"))


@asynccontextmanager
async def closing(left: Duplex, right: Duplex) -> AsyncIterator[Pair]:
    try:
        yield left, right
    finally:
        with trio.move_on_after(1, shield=True):
            await left.aclose()
            await right.aclose()


@asynccontextmanager
async def memory(capacity: int) -> AsyncIterator[Pair]:
    async with closing(*memory_pair(capacity=capacity)) as pair:
        yield pair


@asynccontextmanager
async def pipes(backend: Backend | None) -> AsyncIterator[Pair]:
    forth, back = os.pipe(), os.pipe()
    try:
        left = stdio_duplex(back[0], forth[1], backend=backend)
        right = stdio_duplex(forth[0], back[1], backend=backend)
    finally:
        for fd in (*forth, *back):
            os.close(fd)
    async with closing(left, right) as pair:
        yield pair


@asynccontextmanager
async def socketpair() -> AsyncIterator[Pair]:
    one, two = socket.socketpair()
    async with closing(socket_duplex(one, "one"), socket_duplex(two, "two")) as pair:
        yield pair


@asynccontextmanager
async def served(endpoint: Endpoint, connect: Callable[[Any], Any]) -> AsyncIterator[Pair]:
    """A connection through a real listener; the first end is the client's."""
    send, receive = trio.open_memory_channel[Duplex](1)
    finished = trio.Event()

    async def handler(duplex: Duplex) -> None:
        await send.send(duplex)
        await finished.wait()

    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_lines, handler, endpoint)
        client = await connect(address)
        async with closing(client, await receive.receive()) as pair:
            yield pair
        nursery.cancel_scope.cancel()


def tcp() -> Any:
    return served(TcpEndpoint("127.0.0.1", 0), lambda address: connect_tcp(*address))


def unix(path: Path) -> Any:
    return served(UnixEndpoint(path), connect_unix)
