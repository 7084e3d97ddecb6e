"""Requests and connections: which is used again, and what breaks one and no other."""

from __future__ import annotations

import contextlib

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.h1.client_peers import OK, Far, Script, answering, played, post, saying
from trimcp.errors import ExchangeFailed, UsageError
from trimcp.http.h1.pool import IDLE_TIMEOUT
from trimcp.http.h1.stream import MAX_IDLE_CONNECTIONS


async def ending(far: Far) -> None:
    await far.request()


async def resetting(far: Far) -> None:
    await far.request()
    far.reset()


async def test_requests_one_after_the_other_share_a_connection() -> None:
    async with played(answering) as (remote, peer):
        for _ in range(5):
            async with remote.request("POST", {"X": "1"}, b"{}") as reply:
                assert (reply.status, reply.media_type, reply.retry_after) == (200, "application/json", None)
                assert reply.fields["Content-Type"] == "application/json"
                assert await reply.body(2) == b"ok"
                assert await reply.body(2) == b""
                assert await reply.next_piece() is None
        assert peer.connections == 1


async def test_requests_at_the_same_time_have_one_each() -> None:
    async with played(*[answering] * 3) as (remote, peer):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(remote.request("GET", {}))
        await post(remote)
        assert peer.connections == 3


async def test_what_is_sent_is_what_was_said() -> None:
    requests: list[bytes] = []

    async def script(far: Far) -> None:
        requests.append(await far.answer())
        requests.append(await far.answer())

    async with played(script, headers={"x-key": "k"}) as (remote, _):
        await post(remote, b"[1]")
        async with remote.request("DELETE", {"Mcp-Session-Id": "s"}, url="http://server.test/other"):
            pass
    assert requests[0].startswith(b"POST /mcp HTTP/1.1\r\nhost: server.test\r\n")
    assert requests[0].endswith(b"x-key: k\r\ncontent-length: 3\r\n\r\n[1]")
    assert requests[1].startswith(b"DELETE /other HTTP/1.1\r\n")
    assert requests[1].endswith(b"Mcp-Session-Id: s\r\n\r\n")


@given(cuts=st.lists(st.integers(1, 150), max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_response_may_come_in_any_pieces(cuts: list[int]) -> None:
    data = b"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"

    async def script(far: Far) -> None:
        for _ in range(2):
            await far.request()
            at = 0
            for end in [*sorted({cut % len(data) for cut in cuts} - {0}), len(data)]:
                await far.send(data[at:end])
                at = end
                await trio.testing.wait_all_tasks_blocked()

    async def main() -> None:
        async with played(script, in_memory=True) as (remote, peer):
            assert [await post(remote) for _ in range(2)] == [(200, b"ok")] * 2
            assert peer.connections == 1

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_a_stream_of_events_is_heard_as_it_is_told() -> None:
    went_on = trio.Event()

    async def script(far: Far) -> None:
        await far.request()
        await far.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\na\n\r\n"
        )
        await went_on.wait()
        await far.send(b"2\r\nb\n\r\n")
        await far.ended()

    async with played(script) as (remote, _), remote.request("GET", {}) as reply:
        assert reply.media_type == "text/event-stream"
        assert await reply.next_piece() == b"a\n"
        went_on.set()
        assert await reply.next_piece() == b"b\n"


# --- what breaks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(ending, "broke before there was a response: the server ended it$", id="ended"),
        pytest.param(resetting, "broke before there was a response: Connection reset by peer$", id="reset"),
        pytest.param(saying(b"SSH-2.0-x\r\n\r\n"), "does not answer in HTTP/1.1: Expected HTTP/", id="garbage"),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000),
            "does not answer in HTTP.* 256 fields",
            id="huge head",
        ),
        pytest.param(saying(b"HTTP/1.1 101 Go\r\n\r\n"), "does not answer in HTTP/1.1.*another protocol", id="upgrade"),
    ],
)
async def test_a_request_without_a_response_fails_alone(script: Script, why: str) -> None:
    async with played(answering, script, answering) as (remote, peer):
        async with remote.request("GET", {}) as sibling:
            with pytest.raises(ExchangeFailed, match=why) as caught:
                await post(remote)
            assert caught.value.status is None
            assert "http://server.test/mcp" in str(caught.value)
            assert await sibling.body(10) == b"ok"
        assert await post(remote) == (200, b"ok")
        assert peer.connections == 2


@pytest.mark.parametrize(
    ("data", "piece", "why"),
    [
        (b"content-length: 5\r\n\r\nab", b"ab", "broke off: the server ended it"),
        (b"transfer-encoding: chunked\r\n\r\n5\r\nab", b"ab", "broke off: the server ended it"),
        (b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"ab", "broke off: the server ended it"),
        (b"transfer-encoding: chunked\r\n\r\n2\r\nabzz", b"ab", "not HTTP any more"),
        (b"content-encoding: br\r\ncontent-length: 2\r\n\r\nab", b"", "compressed"),
    ],
)
async def test_a_body_that_breaks_off_is_told_of_behind_what_came(data: bytes, piece: bytes, why: str) -> None:
    async def script(far: Far) -> None:
        await far.answer(b"HTTP/1.1 200 OK\r\n" + data)

    async with played(script, answering) as (remote, peer):
        async with remote.request("POST", {}, b"") as reply:
            if piece:
                assert await reply.next_piece() == piece
            for _ in range(2):
                with pytest.raises(ExchangeFailed, match=why):
                    await reply.next_piece()
        await post(remote)
        assert peer.connections == 2


async def test_a_reset_in_the_head_is_told() -> None:
    async def script(far: Far) -> None:
        await far.answer(b"HTTP/1.1 200 OK\r\nContent-")

    async with played(script) as (remote, _):
        with pytest.raises(ExchangeFailed, match=r"broke in the head of the response: the server ended it"):
            await post(remote)


@pytest.mark.parametrize(("data", "most"), [(OK, 1), (b"HTTP/1.1 500 X\r\ncontent-length: 999999\r\n\r\nabc", 2)])
async def test_a_body_that_is_too_long_is_not_read(data: bytes, most: int) -> None:
    async with played(saying(data)) as (remote, _), remote.request("POST", {}, b"") as reply:
        with pytest.raises(ExchangeFailed, match=f"longer than {most} bytes") as caught:
            await reply.body(most)
        assert caught.value.status == int(data[9:12])


async def test_a_body_that_is_framed_by_the_end_of_the_connection_is_whole() -> None:
    async def script(far: Far) -> None:
        await far.answer(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\n\r\nlater")

    async with played(script) as (remote, _), remote.request("POST", {}, b"") as reply:
        assert reply.retry_after == 7.0
        assert await reply.body(10) == b"later"


async def test_a_header_that_would_not_stay_one_costs_no_connection() -> None:
    async with played() as (remote, peer):
        with pytest.raises(UsageError, match=r"Bad"):
            async with remote.request("POST", {"Bad": "a\r\nb: c"}, b""):
                pass
        assert peer.connections == 0


# --- connections that are kept ----------------------------------------------------------


async def test_a_connection_that_the_server_closed_meanwhile_is_found_out() -> None:
    async def once(far: Far) -> None:
        await far.answer()

    async with played(once, answering) as (remote, peer):
        await post(remote)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await post(remote) == (200, b"ok")
        assert peer.connections == 2


async def test_a_connection_that_was_reset_meanwhile_is_found_out() -> None:
    async def once(far: Far) -> None:
        await far.answer()
        far.reset()

    async with played(once, answering) as (remote, peer):
        await post(remote)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await post(remote) == (200, b"ok")
        assert peer.connections == 2


async def test_a_connection_on_which_the_server_goes_on_talking_is_not_used_again() -> None:
    async def chatty(far: Far) -> None:
        await far.answer()
        await far.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await far.ended()

    async with played(chatty, answering) as (remote, peer):
        await post(remote)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await post(remote) == (200, b"ok")
        assert peer.connections == 2


@pytest.mark.parametrize("how", [ending, resetting])
async def test_a_kept_connection_that_fails_is_replaced_once_where_the_request_may_be_repeated(how: Script) -> None:
    async def then(far: Far) -> None:
        await far.answer()
        await how(far)

    async with played(then, answering) as (remote, peer):
        await post(remote)
        assert await post(remote, repeatable=True) == (200, b"ok")
        assert peer.connections == 2
    async with played(then, answering) as (remote, peer):
        await post(remote)
        with pytest.raises(ExchangeFailed, match=r"before there was a response.*kept open since an earlier request"):
            await post(remote)
        assert peer.connections == 1
    async with played(ending) as (remote, _):
        with pytest.raises(ExchangeFailed, match=r"the server ended it$"):
            await post(remote, repeatable=True)


async def test_a_request_is_not_repeated_once_something_came_back() -> None:
    async def script(far: Far) -> None:
        await far.answer()
        await far.answer(b"HTTP")

    async with played(script) as (remote, peer):
        await post(remote)
        with pytest.raises(ExchangeFailed, match=r"in the head"):
            await post(remote, repeatable=True)
        assert peer.connections == 1


async def test_the_server_may_ask_to_close() -> None:
    async def script(far: Far) -> None:
        await far.answer(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        assert await far.ended()

    async with played(script, script) as (remote, peer):
        await post(remote)
        await post(remote)
        assert peer.connections == 2


async def test_a_response_that_is_there_and_was_not_read_leaves_the_connection_fit() -> None:
    async with played(answering) as (remote, peer):
        for _ in range(3):
            async with remote.request("POST", {}, b"") as reply:
                assert reply.status == 200
        assert peer.connections == 1


async def test_a_rest_that_is_already_there_is_read_away() -> None:
    has_head, rest_sent = trio.Event(), trio.Event()

    async def script(far: Far) -> None:
        await far.answer(OK[:-1])
        await has_head.wait()
        await far.send(OK[-1:])
        rest_sent.set()
        await answering(far)

    async with played(script, in_memory=True) as (remote, peer):
        async with remote.request("POST", {}, b""):
            has_head.set()
            await rest_sent.wait()
        await post(remote)
        assert peer.connections == 1


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_response_that_broke_and_was_not_read_is_nobodys_concern(is_reset: bool) -> None:
    has_head, is_over = trio.Event(), trio.Event()

    async def script(far: Far) -> None:
        await far.answer(OK[:-1])
        await has_head.wait()
        if is_reset:
            far.reset()
        else:
            await far.stream.aclose()
        is_over.set()

    async with played(script, answering) as (remote, peer):
        async with remote.request("POST", {}, b""):
            has_head.set()
            await is_over.wait()
        await post(remote)
        assert peer.connections == 2


async def test_a_connection_leads_to_one_origin_only() -> None:
    async with played(answering, answering) as (remote, peer):
        for number in range(20):
            url = f"https://server.test/{number}" if number % 2 else f"http://server.test/{number}"
            async with remote.request("POST", {}, b"", url=url) as reply:
                assert await reply.body(2) == b"ok"
        assert peer.connections == 2


async def test_a_response_that_is_left_early_ends_its_connection() -> None:
    ended = trio.Event()

    async def script(far: Far) -> None:
        await far.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        assert await far.ended()
        ended.set()

    async with played(script, answering) as (remote, peer):
        async with remote.request("GET", {}):
            pass
        await ended.wait()
        await post(remote)
        assert peer.connections == 2


async def test_cancelling_ends_that_connection_and_no_other(autojump_clock: trio.testing.MockClock) -> None:
    async def silent(far: Far) -> None:
        await far.request()
        assert await far.ended()

    async with played(answering, silent, silent, in_memory=True) as (remote, peer):
        async with remote.request("POST", {}, b"") as sibling:
            with trio.move_on_after(1) as scope:
                await post(remote)
            assert scope.cancelled_caught
            assert await sibling.body(2) == b"ok"
        await post(remote)
        assert peer.connections == 2
        assert len(remote.pool._in_use) == 0


async def test_idle_connections_are_let_go(autojump_clock: trio.testing.MockClock) -> None:
    async with played(*[answering] * (MAX_IDLE_CONNECTIONS + 4), in_memory=True) as (remote, peer):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MAX_IDLE_CONNECTIONS + 3):
                await stack.enter_async_context(remote.request("POST", {}, b""))
        assert len(remote.pool._idle) == MAX_IDLE_CONNECTIONS
        await trio.sleep(IDLE_TIMEOUT + 1)
        await post(remote)
        assert peer.connections == MAX_IDLE_CONNECTIONS + 4
        assert len(remote.pool._idle) == 1
