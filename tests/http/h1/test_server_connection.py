"""One connection: its requests in order, its responses framed, and when it ends."""

from __future__ import annotations

import itertools

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.h1.wire import Asked, client_of, echo, get, hold, memory_streams, post, served
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse, Refusal
from trimcp.http.h1 import response as answers
from trimcp.limits import HttpLimits


async def test_requests_of_one_connection_are_answered_one_after_the_other() -> None:
    handler = Asked()
    async with client_of(handler) as client:
        for number in range(3):
            answer = await client.ask(post(f"/{number}", b"body"))
            assert (answer.status, answer.text) == (200, f"POST /{number} body")
            assert answer[b"content-length"] == b"12"
            assert answer[b"content-type"] == b"text/plain; charset=utf-8"
            assert answer[b"date"]
            assert answer[b"connection"] is None
    assert len({id(request.connection) for request in handler.requests}) == 1
    assert handler.requests[0].connection.peer == "memory"
    assert handler.gone == []


async def test_a_body_in_chunks_and_pieces_arrives_whole() -> None:
    async with client_of(Asked()) as client:
        for byte in b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n":
            await client.send(bytes([byte]))
        assert (await client.next()).text == "POST / abc"


async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(b"".join(post(f"/{number}", b"body") for number in range(100)))
        for number in range(100):
            response = await handler.asked(number + 1)
            await trio.testing.wait_all_tasks_blocked()
            assert len(handler.requests) == number + 1
            echo(handler.requests[number], response)
            assert (await client.next()).text == f"POST /{number} body"


async def test_many_pipelined_requests_leave_others_their_turn() -> None:
    handler = Asked()
    async with served(handler) as server:
        busy, other = server.connect(), server.connect()
        await busy.send(get("/busy") * 400)
        await other.send(get("/other"))
        await other.next()
        assert len(handler.requests) < 50


async def test_a_request_that_comes_in_two_parts_behind_another_is_served_when_its_turn_comes() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        second = post("/second", b"body")
        await client.send(post("/first") + second[:20])
        response = await handler.asked(1)
        echo(handler.requests[0], response)
        await client.next()
        await client.send(second[20:-2])
        await trio.testing.wait_all_tasks_blocked()
        await client.send(second[-2:])
        response = await handler.asked(2)
        echo(handler.requests[1], response)
        assert (await client.next()).text == "POST /second body"


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_however_requests_are_cut_their_answers_are_the_same(data: st.DataObject) -> None:
    whole = (
        post("/1", b"abc")
        + get("/2")
        + b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        + get("/4", "Connection: close")
    )
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=10)) | {0, len(whole)})

    async def ask() -> None:
        async with client_of(Asked()) as client:
            for start, end in itertools.pairwise(cuts):
                await client.send(whole[start:end])
                await trio.testing.wait_all_tasks_blocked()
            assert [(await client.next()).text for _ in range(4)] == ["POST /1 abc", "GET /2 ", "POST /3 ab", "GET /4 "]
            assert await client.ended()

    trio.run(ask)


# --- framing of responses -----------------------------------------------------------------


async def test_a_stream_comes_in_chunks_and_its_head_with_the_first_of_them() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(get())
        response = await handler.asked(1)
        response.begin(200, ((b"content-type", b"text/event-stream"),))
        response.write(b"one")
        data = await client.more()
        assert data.endswith(b"\r\n\r\n3\r\none\r\n")
        response.write(b"")  # which would be the last chunk
        response.write(b"two" * 10)
        response.end()
        answer = await client.next()
        assert answer[b"transfer-encoding"] == b"chunked"
        assert answer[b"content-length"] is None
        assert answer.text == "one" + "two" * 10


async def test_the_last_piece_takes_the_end_along() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, PLAIN)
        response.write(b"most, ")
        response.finish(b"all of it")

    async with client_of(Asked(answer)) as client:
        await client.send(get())
        assert (await client.more()).endswith(b"\r\n\r\n6\r\nmost, \r\n9\r\nall of it\r\n0\r\n\r\n")
        assert (await client.next()).text == "most, all of it"
        assert (await client.ask(get())).text == "most, all of it"


async def test_a_stream_of_one_piece_has_a_length() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, PLAIN)
        response.finish(b"all of it")

    async with client_of(Asked(answer)) as client:
        answered = await client.ask(get())
        assert answered[b"content-length"] == b"9"
        assert answered[b"transfer-encoding"] is None
        assert answered.text == "all of it"
        assert (await client.ask(get())).text == "all of it"


async def test_a_stream_without_a_piece_is_an_empty_body() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, PLAIN)
        if request.path == "/end":
            response.end()
        else:
            response.finish(b"")

    async with client_of(Asked(answer)) as client:
        for path in ("/end", "/finish"):
            assert (await client.ask(get(path))).text == ""


async def test_a_response_to_head_has_the_length_and_no_body() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        if request.path == "/stream":
            response.begin(200, PLAIN)
            response.write(b"one")
            response.finish(b"two")
        else:
            echo(request, response)

    async with client_of(Asked(answer)) as client:
        await client.send(get("/", method="HEAD"))
        head = await client.stream.receive_some(65536)
        assert b"content-length: 7\r\n" in head
        assert head.endswith(b"\r\n\r\n")
        await client.send(get("/stream", "Connection: close", method="HEAD"))
        rest = await client.rest()
        assert rest.count(b"\r\n\r\n") == 1
        assert rest.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(("status", "length"), [(202, b"0"), (204, None), (304, None), (404, b"0"), (299, b"0")])
async def test_a_response_without_a_body_says_so_where_its_status_does_not(status: int, length: bytes | None) -> None:
    async with client_of(Asked(lambda _, response: response.respond(status, ()))) as client:
        answer = await client.ask(get())
        assert (answer.status, answer[b"content-length"], answer.body) == (status, length, b"")
        assert (await client.ask(get())).status == status


async def test_a_status_that_has_no_body_gets_none() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        if request.path == "/stream":
            response.begin(204, ())
            response.write(b"body")
            response.end()
        else:
            response.respond(204, (), b"body")

    async with client_of(Asked(answer)) as client:
        for path in ("/", "/stream"):
            await client.send(get(path))
            data = await client.stream.receive_some(65536)
            assert data.endswith(b"\r\n\r\n")
            assert b"transfer-encoding" not in data
            assert b"content-length" not in data


async def test_a_field_cannot_smuggle_another_into_the_response() -> None:
    fields = ((b"good", b"1"), (b"bad", b"a\r\nset-cookie: b"), (b"wor\0se", b""), (b"fine", b"2"))
    async with client_of(Asked(lambda _, response: response.respond(200, fields))) as client:
        answer = await client.ask(get())
        assert {name for name, _ in answer.fields} == {b"good", b"fine", b"date", b"content-length"}


async def test_what_comes_after_the_end_of_a_response_is_ignored() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.write(b"too early")
        response.end()
        response.finish(b"too early")
        echo(request, response)
        response.respond(500, ())
        response.begin(500, ())
        response.write(b"too late")
        response.finish(b"too late")
        response.end()
        response.abort()

    async with client_of(Asked(answer)) as client:
        assert (await client.ask(get())).text == "GET / "
        assert (await client.ask(get())).text == "GET / "


def test_dates_are_written_in_the_language_of_http() -> None:
    assert answers.date_field(784111777.9) == b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


# --- HTTP/1.0, and who closes ---------------------------------------------------------------


async def test_http_1_0_is_answered_and_closed() -> None:
    async with client_of(Asked()) as client:
        await client.send(get(version="1.0"))
        answer = await client.next()
        assert (answer.text, answer[b"connection"]) == ("GET / ", b"close")
        assert await client.ended()


async def test_http_1_0_keeps_the_connection_where_asked() -> None:
    async with client_of(Asked()) as client:
        for _ in range(2):
            answer = await client.ask(get("/", "Connection: keep-alive", version="1.0"))
            assert (answer.text, answer[b"connection"]) == ("GET / ", b"keep-alive")


async def test_a_stream_to_http_1_0_ends_with_its_connection() -> None:
    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, PLAIN)
        response.write(b"one ")
        response.finish(b"two")

    async with client_of(Asked(answer)) as client:
        await client.send(get("/", "Connection: keep-alive", version="1.0"))
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert body == b"one two"
        assert b"connection: close" in head
        assert b"transfer-encoding" not in head


async def test_a_client_that_wants_the_end_gets_it() -> None:
    handler = Asked()
    async with client_of(handler) as client:
        await client.send(get("/1", "Connection: close") + get("/2"))
        assert (await client.next())[b"connection"] == b"close"
        assert await client.ended()
    assert [request.path for request in handler.requests] == ["/1"]


# --- judged by the head ---------------------------------------------------------------------


async def test_a_request_is_judged_before_its_body_comes_and_the_connection_kept() -> None:
    handler = Asked()
    handler.refusals["/no"] = Refusal(403, PLAIN, b"no")
    async with client_of(handler) as client:
        await client.send(post("/no", b"body")[:-2])
        answer = await client.next()
        assert (answer.status, answer.text, answer[b"connection"]) == (403, "no", None)
        await client.send(b"dy")
        assert (await client.ask(post("/no", b"body"))).status == 403
        assert (await client.ask(post("/yes", b"body"))).text == "POST /yes body"
    assert [request.path for request in handler.requests] == ["/yes"]


@pytest.mark.parametrize(
    "framing", ["Content-Length: 900", "Transfer-Encoding: chunked", "Expect: 100-continue\r\nContent-Length: 1"]
)
async def test_a_refused_request_whose_body_is_long_in_coming_ends_the_connection(framing: str) -> None:
    handler = Asked()
    handler.refusals["/no"] = Refusal(403, PLAIN, b"no")
    async with client_of(handler, HttpLimits(refused_body=800)) as client:
        await client.send(f"POST /no HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        answer = await client.next()
        assert (answer.status, answer[b"connection"]) == (403, b"close")
        await client.send(b"x" * 900)  # which must not destroy the answer
        assert await client.ended()


async def test_a_broken_body_of_a_refused_request_gets_no_second_answer() -> None:
    handler = Asked()
    handler.refusals["/no"] = Refusal(403, PLAIN, b"no")
    async with client_of(handler) as client:
        await client.send(post("/no", b"body") + b"rubbish\r\n")
        assert (await client.next()).status == 403
        assert (await client.next()).status == 400
        assert await client.ended()


async def test_a_client_that_waits_for_leave_to_send_gets_it() -> None:
    async with client_of(Asked()) as client:
        head, body = post("/", b"body", "Expect: 100-continue")[:-4], b"body"
        await client.send(head)
        assert await client.stream.receive_some(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(body)).text == "POST / body"
        # Nobody is told to send what has arrived, and HTTP/1.0 knows no such thing.
        assert (await client.ask(head + body)).text == "POST / body"
        assert (await client.ask(head.replace(b"HTTP/1.1", b"HTTP/1.0") + body)).text == "POST / body"


async def test_a_fault_is_answered_after_what_came_before_it() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(get("/1") + b"rubbish\r\n\r\n")
        response = await handler.asked(1)
        await trio.testing.wait_all_tasks_blocked()
        assert client.answers == []
        echo(handler.requests[0], response)
        assert (await client.next()).text == "GET /1 "
        answer = await client.next()
        assert (answer.status, answer[b"connection"]) == (400, b"close")
        await client.send(b"more rubbish" * 100)
        assert await client.ended()


async def test_a_body_that_breaks_off_in_rubbish_is_answered() -> None:
    handler = Asked()
    async with client_of(handler) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert handler.judged == ["/"]
        await client.send(b"rubbish\r\n")
        assert (await client.next()).status == 400
        assert await client.ended()
    assert handler.requests == []


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    handler = Asked(body_limit=10)
    async with client_of(handler) as client:
        await client.send(post("/", b"x" * 11)[:-11])
        answer = await client.next()
        assert (answer.status, answer[b"connection"]) == (413, b"close")
        await client.send(b"x" * 11)
        assert await client.ended()
    assert handler.judged == []


async def test_a_refused_request_whose_chunks_break_off_is_answered_once() -> None:
    handler = Asked()
    handler.refusals["/no"] = Refusal(403, PLAIN, b"no")
    async with client_of(handler) as client:
        await client.send(b"POST /no HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nrubbish")
        assert (await client.next()).status == 403
        assert await client.ended()


# --- who leaves -----------------------------------------------------------------------------


async def test_a_client_that_leaves_while_it_is_served_is_missed_at_once() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(get())
        response = await handler.asked(1)
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert handler.gone == ["/"]
        assert response.is_gone
        response.begin(200, ())
        response.write(b"x")
        response.finish(b"x")
        response.end()
        response.respond(200, ())
        response.abort()
    assert handler.gone == ["/"]


async def test_a_client_that_ends_its_half_while_it_is_served_is_gone_as_well() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(get())
        await handler.asked(1)
        await client.stream.send_eof()
        assert await client.ended()
    assert handler.gone == ["/"]


async def test_a_client_that_ends_its_half_gets_what_was_answered_at_once() -> None:
    body = b"x" * 100_000
    async with client_of(Asked(lambda _, response: response.respond(200, (), body)), capacity=1000) as client:
        await client.send(get())
        await client.stream.send_eof()
        answer = await client.next()
        assert answer.body == body
        assert await client.ended()


@pytest.mark.parametrize("data", [b"", b"GE", post("/", b"body")[:-1]])
async def test_a_client_that_leaves_in_the_middle_of_a_request_is_no_request(data: bytes) -> None:
    handler = Asked()
    async with client_of(handler) as client:
        await client.stream.send_eof() if not data else await client.send(data)
        await client.stream.send_eof()
        assert await client.ended()
    assert handler.requests == []


async def test_the_end_of_a_connection_is_told_once() -> None:
    closed: list[str] = []

    def answer(request: HttpRequest, response: HttpResponse) -> None:
        request.connection.state = "something"
        request.connection.on_closed = lambda: closed.append(request.connection.state)
        echo(request, response)

    async with client_of(Asked(answer)) as client:
        await client.ask(get())
        await client.ask(get())
        assert closed == []
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert closed == ["something"]


async def test_a_response_that_is_broken_off_is_not_complete() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(get())
        response = await handler.asked(1)
        response.begin(200, PLAIN)
        response.write(b"one")
        response.abort()
        response.write(b"two")
        response.end()
        assert (await client.rest()).endswith(b"\r\n\r\n3\r\none\r\n")
    assert handler.gone == []


async def test_a_response_that_was_not_begun_can_be_broken_off() -> None:
    async with client_of(Asked(lambda _, response: response.abort())) as client:
        await client.send(get())
        assert await client.ended()


async def test_a_failed_handler_ends_its_connection_and_tells_whoever_waits() -> None:
    gone: list[str] = []

    def answer(request: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append("gone")
        raise ValueError("a bug")

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with client_of(Asked(answer)) as client:
            await client.send(get())
            await client.ended()
    assert gone == ["gone"]


async def test_cancelling_the_connections_tells_whoever_waits() -> None:
    handler = Asked(hold)
    async with client_of(handler) as client:
        await client.send(get())
        await handler.asked(1)
    assert handler.gone == ["/"]
    assert handler.responses[0].is_gone


# --- a client that does not read ------------------------------------------------------------


async def test_a_writer_is_told_when_the_client_has_read() -> None:
    handler = Asked(hold)
    cleared: list[str] = []
    async with client_of(handler, capacity=1000) as client:
        await client.send(get())
        response = await handler.asked(1)
        response.on_clear = lambda: cleared.append("clear")
        response.begin(200, PLAIN)
        response.write(b"small")
        clogged = [response.is_clogged]
        for _ in range(100):  # many small pieces wait as well as a large one
            response.write(b"x" * 100)
        response.write(b"y" * 100_000)
        clogged.append(response.is_clogged)
        assert clogged == [False, True]
        await trio.testing.wait_all_tasks_blocked()
        assert cleared == []
        while response.is_clogged:
            await client.more()
            await trio.testing.wait_all_tasks_blocked()
        assert cleared == ["clear"]
        response.write(b"z" * 2000)
        response.end()
        answer = await client.next()
        assert answer.body == b"small" + b"x" * 10_000 + b"y" * 100_000 + b"z" * 2000
        assert cleared == ["clear"]
        assert (await handler.asked(1)) is response


async def test_the_next_request_waits_until_the_last_answer_has_left() -> None:
    handler = Asked(lambda request, response: response.respond(200, PLAIN, request.path.encode() * 5000))
    async with client_of(handler, capacity=1000) as client:
        await client.send(get("/1") + get("/2"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(handler.requests) == 1
        assert (await client.next()).text == "/1" * 5000
        assert (await client.next()).text == "/2" * 5000


async def test_what_is_pushed_from_the_clear_callback_may_clog_again() -> None:
    handler = Asked(hold)
    async with client_of(handler, capacity=1000) as client:
        await client.send(get())
        response = await handler.asked(1)
        pieces = 3

        def push() -> None:
            nonlocal pieces
            if pieces:
                pieces -= 1
                response.write(b"x" * 5000)
            else:
                response.end()

        response.on_clear = push
        response.begin(200, PLAIN)
        push()
        assert (await client.next()).body == b"x" * 15000


async def test_a_client_that_leaves_while_it_is_written_to_is_missed() -> None:
    handler = Asked(hold)
    async with client_of(handler, capacity=1000) as client:
        await client.send(get())
        response = await handler.asked(1)
        response.begin(200, PLAIN)
        response.write(b"x" * 100_000)
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert response.is_gone
    assert handler.gone == ["/"]


async def test_a_write_that_fails_is_told_later_and_not_within_the_call() -> None:
    handler = Asked(hold)
    told: list[int] = []
    async with served(handler) as server:
        client = server.connect()
        await client.send(get())
        response = await handler.asked(1)
        response.begin(200, PLAIN)
        client.stop_reading()  # which the server does not notice before it writes
        response.write(b"x")
        response.write(b"x")
        told.append(len(handler.gone))
        await trio.testing.wait_all_tasks_blocked()
        told.append(len(handler.gone))
        assert told == [0, 1]
        assert server.server.open_connections == 0


def test_memory_streams_are_what_sockets_are() -> None:
    here, there = memory_streams()
    assert here.try_send(b"x") == 1
    assert there.description == "memory"
