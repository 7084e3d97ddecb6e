"""Raw clients that are authenticated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import trimcp
from tests.session.peer import Peer
from tests.tasks.workshop import Client, opened
from trimcp.transports.memory import memory_pair


@asynccontextmanager
async def served_to(server: trimcp.Server, version: str, principal: str | trimcp.Principal) -> AsyncIterator[Client]:
    """A client of a principal, in the run that the server is in."""
    ours, theirs = memory_pair(capacity=1 << 20, limit=server.limits.message_bytes)
    (run,) = server._runs._runs
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await run.serve(theirs, principal=principal)

        nursery.start_soon(serve)
        yield await opened(Peer(ours, version))
        nursery.cancel_scope.cancel()
