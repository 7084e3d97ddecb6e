"""Hostile lifespans: a server that cannot run ends with an error that says so, and its port is closed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest
import trio

import trimcp
from tests.hostile.crowd import Town, add, in_time
from tests.hostile.functions import HOSTILE, MOMENT, Outcome

NOT_HERE: Final = (
    "raises_the_unprintable",  # Trio asks an exception that passes a nursery for its text, and fails over that
    "enters_a_scope_and_raises",
    "leaves_a_scope_of_another_task",
)
RAISING: Final = [h for h in HOSTILE.values() if h.outcome is Outcome.FAILS and h.name not in NOT_HERE]


class Service:
    """A server that serves HTTP, and how that ended."""

    def __init__(self, lifespan: Callable[[trimcp.Server], Any]) -> None:
        self.town = Town(lifespan=lifespan)
        self.address: tuple[str, int] | None = None
        self.failure: BaseException | None = None
        self.has_returned = False

    async def serve(self) -> None:
        """Serves until it ends."""
        try:
            async with trio.open_nursery() as nursery:
                self.address = await nursery.start(self.town.server.serve_http, 0)
            self.has_returned = True
        except BaseException as exc:
            self.failure = exc

    async def refuses_connections(self) -> bool:
        """Whether nothing listens at its address any more."""
        assert self.address is not None
        try:
            stream = await trio.open_tcp_stream(*self.address)
        except OSError:
            return True
        await stream.aclose()
        return False


@pytest.mark.parametrize("hostile", RAISING, ids=str)
async def test_a_lifespan_that_raises_before_its_yield_fails_to_serve(hostile: Any) -> None:
    @asynccontextmanager
    async def lifespan(server: trimcp.Server) -> AsyncIterator[None]:
        await hostile.run()
        yield

    service = Service(lifespan)
    async with in_time():
        await service.serve()
    assert service.failure is not None
    assert service.address is None
    assert not service.has_returned


@pytest.mark.parametrize("hostile", RAISING, ids=str)
async def test_a_lifespan_that_raises_after_its_yield_fails_a_drain_that_lost_nothing(hostile: Any) -> None:
    @asynccontextmanager
    async def lifespan(server: trimcp.Server) -> AsyncIterator[None]:
        yield
        await hostile.run()

    service = Service(lifespan)
    async with in_time():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.serve)
            async with trimcp.connect(await _url(service)) as client:
                await add(client, "add", 1)
            report = await service.town.server.drain(1.0)
        assert report.lost == 0
        assert service.failure is not None
        assert not service.has_returned
        assert await service.refuses_connections()


async def _url(service: Service) -> str:
    while service.address is None:
        assert service.failure is None
        await trio.lowlevel.checkpoint()
    host, port = service.address
    return f"http://{host}:{port}/mcp"


@asynccontextmanager
async def yields_in_a_timeout(server: trimcp.Server) -> AsyncIterator[None]:
    """Yields in a scope whose time is over soon."""
    with trio.move_on_after(MOMENT):
        yield


@asynccontextmanager
async def yields_in_a_nursery_that_fails(server: trimcp.Server) -> AsyncIterator[None]:
    """Yields in a nursery one of whose tasks fails soon."""

    async def fail() -> None:
        await trio.sleep(MOMENT)
        raise ValueError("the background of the lifespan")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        yield


@asynccontextmanager
async def yields_in_a_nursery_that_is_cancelled(server: trimcp.Server) -> AsyncIterator[None]:
    """Yields in a nursery that a task of its own cancels soon."""

    async def cancel(scope: trio.CancelScope) -> None:
        await trio.sleep(MOMENT)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel, nursery.cancel_scope)
        yield


@asynccontextmanager
async def swallows_what_ends_it(server: trimcp.Server) -> AsyncIterator[None]:
    """Yields in a nursery that fails soon, and swallows everything."""
    try:
        async with yields_in_a_nursery_that_fails(server):
            yield
    except BaseException:
        pass


@asynccontextmanager
async def yields_in_a_nursery_that_exits(server: trimcp.Server) -> AsyncIterator[None]:
    """Yields in a nursery one of whose tasks calls sys.exit soon."""

    async def leave() -> None:
        await trio.sleep(MOMENT)
        sys.exit("the background of the lifespan")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        yield


@pytest.mark.parametrize(
    "lifespan",
    [
        yields_in_a_timeout,
        yields_in_a_nursery_that_fails,
        yields_in_a_nursery_that_is_cancelled,
        yields_in_a_nursery_that_exits,
        swallows_what_ends_it,
    ],
)
async def test_a_lifespan_that_ends_under_the_server_ends_serving_with_an_error(
    lifespan: Callable[[trimcp.Server], Any],
) -> None:
    service = Service(lifespan)
    async with in_time():
        await service.serve()
        assert service.failure is not None
        assert not service.has_returned
        assert await service.refuses_connections()


async def test_a_lifespan_that_swallows_cancelled_does_not_keep_a_server_from_being_cancelled() -> None:
    @asynccontextmanager
    async def deaf(server: trimcp.Server) -> AsyncIterator[None]:
        with suppress(BaseException):
            yield

    service = Service(deaf)
    async with in_time():
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.serve)
                await _url(service)
                nursery.cancel_scope.cancel()
        assert not scope.cancelled_caught
        assert service.has_returned or _is_cancelled(service.failure)
        assert await service.refuses_connections()


def _is_cancelled(exc: BaseException | None) -> bool:
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(trio.Cancelled)[1] is None
    return isinstance(exc, trio.Cancelled)


async def test_a_lifespan_of_an_extension_is_contained_as_well() -> None:
    extension = trimcp.ServerExtension("test.example/hostile", lifespan=yields_in_a_timeout)
    town = Town(extensions=[extension])
    async with in_time():
        with pytest.raises(RuntimeError, match="ended while the server was running"):
            await town.server.serve_http(0)
