"""Pieces of work for the tests of the worker pool."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.actors.worker_pool import WorkerPool


class Piece:
    """Work that does what its body does, and notes what its pool tells it."""

    def __init__(self, body: Callable[[Piece], Awaitable[object]], name: str = "piece") -> None:
        self._body = body
        self.name = name
        self.scope: trio.CancelScope | None = None
        self.told: list[str] = []
        self.error: BaseException | None = None
        self.result: object = None
        self.worker: trio.lowlevel.Task | None = None

    async def run(self) -> None:
        self.told.append("run")
        self.worker = trio.lowlevel.current_task()
        self.result = await self._body(self)

    def failed(self, error: BaseException) -> None:
        self.told.append("failed")
        self.error = error

    def finished(self) -> bool:
        self.told.append("finished")
        assert self.scope is not None
        return self.scope.cancel_called or self.scope.deadline != math.inf

    def left(self) -> None:
        self.told.append("left")

    def handed_back(self) -> None:
        self.told.append("handed back")

    def cancel(self) -> None:
        assert self.scope is not None
        self.scope.cancel()


GOOD = ["run", "finished", "left"]
FAILED = ["run", "failed", "finished", "left"]
HANDED_BACK = ["handed back"]


def sleeping(seconds: float, name: str = "sleeping") -> Piece:
    """Work that sleeps, and has its name as its result."""

    async def body(piece: Piece) -> str:
        await trio.sleep(seconds)
        return piece.name

    return Piece(body, name)


def quick(name: str = "quick") -> Piece:
    """Work that waits for nothing, and has its name as its result."""

    async def body(piece: Piece) -> str:
        return piece.name

    return Piece(body, name)


@asynccontextmanager
async def open_pool(capacity: int = 1000) -> AsyncIterator[tuple[Supervisor, WorkerPool]]:
    """A supervisor with a pool."""
    async with open_supervisor("session") as supervisor:
        yield supervisor, supervisor.open_pool("tools", capacity)
