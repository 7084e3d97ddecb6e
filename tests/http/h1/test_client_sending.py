"""Long requests, requests that are sent elsewhere, and requests that nobody waits for any more."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.http.h1.client_peers import (
    OK,
    URL,
    Far,
    MemoryClientStream,
    Script,
    answering,
    client_streams,
    played,
    post,
    saying,
)
from tests.transports.pairs import open_descriptors
from trimcp.errors import ExchangeFailed
from trimcp.http.client.pooled_client import PooledHttpClient
from trimcp.http.h1.stream import WRITE_TIMEOUT, ClientStream
from trimcp.http.urls import Origin

# --- sending ---------------------------------------------------------------------------

LONG = b"x" * 3_000_000


async def test_a_long_body_arrives() -> None:
    received: list[int] = []

    async def script(far: Far) -> None:
        for _ in range(2):
            received.append(len((await far.request()).partition(b"\r\n\r\n")[2]))
            await far.send(OK)

    async with played(script) as (remote, peer):
        assert [await post(remote, LONG) for _ in range(2)] == [(200, b"ok")] * 2
        assert received == [len(LONG)] * 2
        assert peer.connections == 1


async def test_a_refusal_of_what_was_not_read_is_heard() -> None:
    heard = trio.Event()

    async def script(far: Far) -> None:
        await far.stream.receive_some(1000)
        await far.send(b"HTTP/1.1 413 Too Long\r\ncontent-length: 2\r\n\r\nno")
        await heard.wait()
        assert await far.ended()

    async with played(script, answering) as (remote, peer):
        assert await post(remote, LONG) == (413, b"no")
        heard.set()
        await post(remote)
        assert peer.connections == 2


async def test_an_answer_that_begins_early_does_not_end_the_sending() -> None:
    async def script(far: Far) -> None:
        await far.stream.receive_some(1)
        await far.send(OK[:-1])
        got = 1
        while got < len(LONG):
            got += len(await far.stream.receive_some(65536))
        await far.send(OK[-1:])

    async with played(script) as (remote, _):
        assert await post(remote, LONG) == (200, b"ok")


async def test_a_server_that_takes_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async def script(far: Far) -> None:
        await far.stream.receive_some(1)
        await trio.sleep(WRITE_TIMEOUT - 1)
        await far.stream.receive_some(100_000)
        await trio.sleep(WRITE_TIMEOUT + 1)

    async with played(script, answering, in_memory=True) as (remote, _peer):
        began = trio.current_time()
        with pytest.raises(ExchangeFailed, match=r"did not take the request in time"):
            await post(remote, LONG)
        assert WRITE_TIMEOUT < trio.current_time() - began <= 2 * WRITE_TIMEOUT
        await post(remote)


async def test_a_server_that_goes_in_the_middle_of_a_request_is_told_of() -> None:
    async def script(far: Far) -> None:
        await far.stream.receive_some(1000)
        far.reset()

    async with played(script) as (remote, _):
        with pytest.raises(ExchangeFailed, match=r"before there was a response: (Connection reset|Broken pipe)"):
            await post(remote, LONG)


async def test_last_words_of_a_server_that_takes_nothing_are_heard() -> None:
    async def connect(origin: Origin, shown: str) -> ClientStream:
        here, there = client_streams()
        there.try_send(b"HTTP/1.1 503 Leaving\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"[: lengths.pop()])
        await there.aclose()
        return here

    lengths = [20, 200]
    remote = PooledHttpClient(URL, {}, connect)
    assert await post(remote) == (503, b"")
    with pytest.raises(ExchangeFailed, match=r"in the head of the response: the other end"):
        await post(remote)


# --- redirects --------------------------------------------------------------------------


def redirecting(status: int, location: str) -> Script:
    return saying(b"HTTP/1.1 %d R\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, location.encode()))


async def test_a_redirect_within_the_server_is_followed_and_remembered() -> None:
    requests: list[bytes] = []

    async def script(far: Far) -> None:
        requests.append(await far.answer(b"HTTP/1.1 307 R\r\nlocation: /mcp/\r\ncontent-length: 0\r\n\r\n"))
        requests.append(await far.answer())
        requests.append(await far.answer())

    async with played(script) as (remote, peer):
        assert [await post(remote, b"b") for _ in range(2)] == [(200, b"ok")] * 2
        assert remote.url == URL + "/"
        assert peer.connections == 1
    assert [request[:11] for request in requests] == [b"POST /mcp H", b"POST /mcp/ ", b"POST /mcp/ "]
    assert all(request.endswith(b"\r\n\r\nb") for request in requests)


@pytest.mark.parametrize("location", ["https://server.test/mcp", "http://server.test:81/mcp", "//other.test/", "ftp:x"])
async def test_a_redirect_elsewhere_is_refused(location: str) -> None:
    async with played(redirecting(308, location)) as (remote, _):
        with pytest.raises(ExchangeFailed, match=r"redirects (elsewhere|to an invalid URL)") as caught:
            await post(remote)
        assert caught.value.status == 308
        assert remote.url == URL


async def test_a_redirect_without_end_ends() -> None:
    async def script(far: Far) -> None:
        for _ in range(2):
            await far.answer(b"HTTP/1.1 308 R\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n")

    async with played(script) as (remote, _):
        with pytest.raises(ExchangeFailed, match=r"redirects again and again"):
            await post(remote)


async def test_other_redirects_are_statuses() -> None:
    async with played(redirecting(302, "/x")) as (remote, _):
        assert await post(remote) == (302, b"")


# --- closing ----------------------------------------------------------------------------


async def test_closing_ends_what_is_idle_and_what_is_not() -> None:
    asked = trio.Event()

    async def silent(far: Far) -> None:
        await far.request()
        asked.set()
        assert await far.ended()

    before = open_descriptors()
    async with played(answering, silent) as (remote, _):
        failures: list[ExchangeFailed] = []

        async def failing() -> None:
            with pytest.raises(ExchangeFailed, match=r"this side has closed it") as caught:
                await post(remote)
            failures.append(caught.value)

        async with remote.request("GET", {}) as reply:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(failing)
                await asked.wait()
                await remote.aclose()
            assert len(failures) == 1
            assert await reply.body(2) == b"ok"  # it had come
        await remote.aclose()
        with pytest.raises(ExchangeFailed, match=r"this side has closed its connections"):
            await post(remote)
    assert open_descriptors() <= before


async def test_closing_ends_a_request_that_is_being_sent() -> None:
    began = trio.Event()

    async def script(far: Far) -> None:
        await far.stream.receive_some(1)
        began.set()
        assert await far.ended()

    async with played(script) as (remote, _), trio.open_nursery() as nursery:

        async def failing() -> None:
            with pytest.raises(ExchangeFailed, match=r"this side has closed it"):
                await post(remote, LONG * 10)

        nursery.start_soon(failing)
        await began.wait()
        await remote.aclose()


async def test_closing_ends_a_request_that_is_being_connected() -> None:
    connecting, goes_on = trio.Event(), trio.Event()
    wires: list[MemoryClientStream] = []

    async def connect(origin: Origin, shown: str) -> ClientStream:
        connecting.set()
        await goes_on.wait()
        wires.append(client_streams()[0])
        return wires[0]

    remote = PooledHttpClient(URL, {}, connect)
    async with trio.open_nursery() as nursery:

        async def failing() -> None:
            with pytest.raises(
                ExchangeFailed, match=r"this side has closed its connections to http://server\.test/mcp"
            ):
                await post(remote)

        nursery.start_soon(failing)
        await connecting.wait()
        await remote.aclose()
        goes_on.set()
    assert not wires[0].is_quiet()
    assert not remote.pool._in_use


async def test_a_redirect_of_another_url_is_followed_and_not_remembered() -> None:
    async def script(far: Far) -> None:
        await far.answer(b"HTTP/1.1 307 R\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n")
        assert (await far.answer()).startswith(b"POST /there ")

    async with played(script) as (remote, _):
        async with remote.request("POST", {}, b"", url="http://server.test/here") as reply:
            assert reply.status == 200
        assert remote.url == URL
