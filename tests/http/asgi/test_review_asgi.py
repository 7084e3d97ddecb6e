"""The ASGI door: bodies that drip, bodies that are long, and a stop under load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from trio.testing import MockClock

from tests.http.asgi.asgi_server import Behind, Exchange, door
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse


async def echo(request: HttpRequest, response: HttpResponse) -> None:
    response.respond(200, PLAIN, request.body)


async def test_a_body_that_drips_has_its_time_in_all(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    app = door(Behind(echo, body_limit=10_000))

    async def drip() -> None:
        while True:
            exchange.body(b"x", last=False)
            await trio.sleep(20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        with trio.move_on_after(10_000) as patience:
            await exchange.run(app)
        nursery.cancel_scope.cancel()
    assert not patience.cancelled_caught
    assert exchange.status == 408


async def test_a_slow_peer_that_goes_on_reading_gets_a_long_body_whole(autojump_clock: MockClock) -> None:
    size = 2**22

    class Slow(Exchange):
        async def send(self, event: Mapping[str, Any]) -> None:
            await trio.sleep(len(event.get("body", b"")) / 65536)
            await super().send(event)

    async def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.respond(200, PLAIN, bytes(size))

    exchange = await Slow().body(b"").run(door(Behind(answer), write_timeout=30.0))
    assert exchange.is_complete
    assert len(exchange.received_body) == size


async def test_a_stop_waits_for_what_is_in_progress_and_not_for_what_comes_then(autojump_clock: MockClock) -> None:
    async def answer(request: HttpRequest, response: HttpResponse) -> None:
        await trio.sleep(2)
        response.respond(200, PLAIN, b"")

    app = door(Behind(answer))
    async with trio.open_nursery() as nursery:

        async def knock() -> None:
            while True:
                nursery.start_soon(Exchange().body(b"").run, app)
                await trio.sleep(1)

        nursery.start_soon(knock)
        await trio.sleep(5.5)
        with trio.move_on_after(1000) as patience:
            await app.finished()
        nursery.cancel_scope.cancel()
    assert not patience.cancelled_caught
