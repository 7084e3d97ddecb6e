"""The ways by which a hostile handler is reached: a server behind each, and clients of either era before it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs
import trio

import trimcp
from tests.hostile.crowd import Connect

LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"

MEMORY: Final = {"memory": MODERN, "memory session": LEGACY}
SOCKETS: Final = {"http": MODERN, "http session": LEGACY, "websocket": MODERN, "hypercorn": MODERN}
"""The revision that clients speak through each door."""


@attrs.define
class Service:
    """A server that serves, and what became of the task that does so."""

    connect: Connect
    address: tuple[str, int] | None = None
    over: trio.Event = attrs.field(factory=trio.Event)
    failure: BaseException | None = None

    async def run(
        self,
        serve: Callable[..., Awaitable[Any]],
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves, and keeps what ends that, so that a stray Cancelled cannot end the test as well."""
        try:
            await serve(task_status=task_status)
        except BaseException as exc:
            self.failure = exc
        finally:
            self.over.set()


@asynccontextmanager
async def serving(
    door: str, server: trimcp.Server, client: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Service]:
    """Serves behind a door; at the end the server is drained, loses nothing, and has ended by itself.

    Args:
        door: one of `MEMORY` or `SOCKETS`.
        server: is served.
        client: arguments of `connect`.
        options: of serving.
    """
    is_left = False
    given = client or {}
    if door in MEMORY:
        async with server.running():
            yield Service(functools.partial(trimcp.connect, server, revision=MEMORY[door], **given))
            await drained(server)
            is_left = True
        assert is_left, "the run of the server was cancelled from below"
        return
    async with trio.open_nursery() as nursery:
        service = Service(_unconnected)
        port = await _begin(door, server, service, nursery, options)
        service.address = ("127.0.0.1", port)
        scheme = "ws" if door == "websocket" else "http"
        target = f"{scheme}://127.0.0.1:{port}/mcp"
        service.connect = functools.partial(trimcp.connect, target, revision=SOCKETS[door], **given)
        yield service
        assert not service.over.is_set(), f"serving has ended: {service.failure!r}"
        await drained(server)
        await service.over.wait()
        assert service.failure is None, repr(service.failure)
        is_left = True
    assert is_left, "the service was cancelled from below"


async def _begin(
    door: str, server: trimcp.Server, service: Service, nursery: trio.Nursery, options: dict[str, Any]
) -> int:
    doors: dict[str, Callable[..., Awaitable[Any]]] = {
        "http": server.serve_http,
        "http session": server.serve_http,
        "websocket": server.serve_websocket,
        "hypercorn": server.serve_hypercorn,
    }
    _, port = await nursery.start(service.run, functools.partial(doors[door], 0, **options))
    return int(port)


def _unconnected() -> AbstractAsyncContextManager[trimcp.Client]:
    raise AssertionError("nothing serves yet")


async def drained(server: trimcp.Server) -> None:
    """Drains the server, which must not lose a request."""
    report = await server.drain(2.0)
    assert report.lost == 0, report
