"""Peers that take their time: each wait of a connection has an end, on a clock that the tests move."""

from __future__ import annotations

import trio
import trio.testing
from trio.testing import MockClock

from tests.http.h1.wire import Asked, Client, client_of, echo, get, hold, memory_streams, post, served
from trimcp.http.binding import PLAIN, Refusal
from trimcp.http.h1.server import HttpServer
from trimcp.limits import HttpLimits

LIMITS = HttpLimits(
    head_timeout=10,
    body_idle_timeout=30,
    body_timeout=100,
    keep_alive=75,
    write_timeout=30,
    linger=2,
)


async def seconds_until_end(client: Client) -> float:
    start = trio.current_time()
    await client.rest()
    return trio.current_time() - start


async def test_a_connection_without_a_request_is_closed_without_a_word(autojump_clock: MockClock) -> None:
    async with client_of(Asked(), LIMITS) as client:
        start = trio.current_time()
        assert await client.ended()
        assert 75 <= trio.current_time() - start <= 77


async def test_line_ends_are_no_request(autojump_clock: MockClock) -> None:
    async with served(Asked(), LIMITS) as server:
        client = server.connect()
        for _ in range(7):
            await client.send(b"\r\n")
            await trio.sleep(10)
        assert server.server.open_connections == 1
        await trio.sleep(7)
        assert server.server.open_connections == 0


async def test_each_request_gives_the_connection_its_time_again(autojump_clock: MockClock) -> None:
    async with client_of(Asked(), LIMITS) as client:
        for _ in range(5):
            await trio.sleep(70)
            assert (await client.ask(post("/", b"body"))).status == 200
        assert 75 <= await seconds_until_end(client) <= 77


async def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_another(
    autojump_clock: MockClock,
) -> None:
    async with client_of(Asked(), LIMITS) as client:
        await client.ask(get())
        await trio.sleep(50)
        start = trio.current_time()
        for byte in get("/" + "x" * 100):
            await client.send(bytes([byte]))
            await trio.sleep(1)
            if trio.current_time() - start > 11:
                break
        answer = await client.next()
        assert (answer.status, answer[b"connection"]) == (408, b"close")
        assert await client.ended()


async def test_a_body_that_stops_coming_is_given_up(autojump_clock: MockClock) -> None:
    handler = Asked()
    async with client_of(handler, LIMITS) as client:
        start = trio.current_time()
        await client.send(post("/", b"body")[:-1])
        assert (await client.next()).status == 408
        assert 30 <= trio.current_time() - start <= 32
        assert await client.ended()
    assert handler.requests == []


async def test_a_body_that_comes_byte_by_byte_has_an_end_too(autojump_clock: MockClock) -> None:
    async with client_of(Asked(), LIMITS) as client:
        start = trio.current_time()
        await client.send(post("/", b"x" * 900)[:-900])
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                while True:
                    await client.send(b"x")
                    await trio.sleep(20)

            nursery.start_soon(drip)
            assert (await client.next()).status == 408
            nursery.cancel_scope.cancel()
        assert 100 <= trio.current_time() - start <= 102


async def test_a_body_that_is_dropped_has_an_end_as_well_and_no_second_answer(
    autojump_clock: MockClock,
) -> None:
    handler = Asked()
    handler.refusals["/"] = Refusal(403, PLAIN, b"no")
    async with client_of(handler, LIMITS) as client:
        await client.send(post("/", b"body")[:-1])
        assert (await client.next()).status == 403
        assert await client.ended()


async def test_a_handler_takes_what_time_it_needs(autojump_clock: MockClock) -> None:
    handler = Asked(hold)
    async with client_of(handler, LIMITS) as client:
        await client.send(get("/1") + get("/2")[:5])
        response = await handler.asked(1)
        await trio.sleep(1000)
        echo(handler.requests[0], response)
        assert (await client.next()).status == 200
        await trio.sleep(5)
        await client.send(get("/2")[5:])
        response = await handler.asked(2)
        await trio.sleep(1000)
        echo(handler.requests[1], response)
        assert (await client.next()).status == 200
        assert 75 <= await seconds_until_end(client) <= 77


async def test_a_head_begun_behind_another_request_has_its_time_from_there(
    autojump_clock: MockClock,
) -> None:
    handler = Asked(hold)
    async with client_of(handler, LIMITS) as client:
        await client.send(get("/1") + get("/2")[:5])
        response = await handler.asked(1)
        await trio.sleep(1000)
        start = trio.current_time()
        echo(handler.requests[0], response)
        assert (await client.next()).status == 200
        assert (await client.next()).status == 408
        assert 10 <= trio.current_time() - start <= 12


async def test_a_client_that_takes_nothing_is_cut_off(autojump_clock: MockClock) -> None:
    handler = Asked(hold)
    async with served(handler, LIMITS) as server:
        client = server.connect(capacity=1000)
        await client.send(get())
        response = await handler.asked(1)
        response.begin(200, PLAIN)
        start = trio.current_time()
        response.write(b"x" * 100_000)
        while not response.is_gone:
            await trio.sleep(1)
        assert 30 <= trio.current_time() - start <= 32
        await trio.testing.wait_all_tasks_blocked()
        assert server.server.open_connections == 0
    assert handler.gone == ["/"]


async def test_a_client_that_takes_nothing_of_a_whole_answer_is_cut_off(autojump_clock: MockClock) -> None:
    async with served(Asked(lambda _, response: response.respond(200, (), b"x" * 100_000)), LIMITS) as server:
        client = server.connect(capacity=1000)
        await client.send(get() + get())
        await trio.sleep(29)
        assert server.server.open_connections == 1
        await trio.sleep(3)
        assert server.server.open_connections == 0


async def test_a_client_that_takes_little_at_a_time_is_served(autojump_clock: MockClock) -> None:
    body = b"x" * 100_000
    async with client_of(Asked(lambda _, response: response.respond(200, (), body)), LIMITS, capacity=9000) as client:
        await client.send(get("/", "Connection: close"))
        while not client.answers or not client.answers[0].is_complete:
            await trio.sleep(20)
            await client.more()
        assert client.answers[0].body == body


async def test_a_client_that_goes_on_sending_after_its_last_answer_has_some_time_for_it(
    autojump_clock: MockClock,
) -> None:
    async with served(Asked(), LIMITS) as server:
        client = server.connect()
        await client.send(b"rubbish\r\n\r\n")
        assert (await client.next()).status == 400
        assert await client.ended()
        for _ in range(3):
            assert server.server.open_connections == 1
            await client.send(b"more")
            await trio.sleep(0.6)
        await trio.sleep(0.6)
        assert server.server.open_connections == 0


async def test_what_a_client_may_send_after_its_last_answer_has_a_bound_too(
    autojump_clock: MockClock,
) -> None:
    async with served(Asked(), HttpLimits(linger_bytes=100_000, linger=1000)) as server:
        client = server.connect()
        await client.send(b"rubbish\r\n\r\n")
        assert (await client.next()).status == 400
        await client.send(b"x" * 90_000)
        await trio.testing.wait_all_tasks_blocked()
        assert server.server.open_connections == 1
        await client.send(b"x" * 20_000)
        await trio.testing.wait_all_tasks_blocked()
        assert server.server.open_connections == 0


async def test_nothing_is_watched_where_nobody_is_connected(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = HttpServer(Asked(), nursery)
        for _ in range(2):
            here, there = memory_streams()
            await here.aclose()
            await server.serve_stream(there)
            await there.aclose()
    # The nursery was left without anything being cancelled.
