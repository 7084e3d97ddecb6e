"""The ASGI door, in front of a server that is a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tests.http.asgi.asgi_server import Behind, Exchange, door
from trimcp.errors import UsageError
from trimcp.http.asgi import app as asgi
from trimcp.http.asgi import requests as asgi_requests
from trimcp.http.asgi.app import NOT_UNDER_TRIO, AsgiBinding
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse, Refusal


async def echo(request: HttpRequest, response: HttpResponse) -> None:
    response.respond(200, ((b"content-type", b"text/plain"),), request.body)


async def test_a_request_is_answered_in_two_events_and_nobody_watches() -> None:
    exchange = await Exchange().body(b"hello").run(door(Behind(echo)))
    assert exchange.sent == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")],
        },
        {"type": "http.response.body", "body": b"hello", "more_body": False},
    ]
    assert exchange.receives == 1


async def test_the_head_of_a_request_is_passed_on() -> None:
    behind = Behind(echo)
    headers = [(b"host", b"a"), (b"X-Thing", b" one "), (b"x-thing", b"two")]
    await Exchange(scheme="https", query_string=b"q=1", headers=headers).body(b"a", b"", b"b").run(door(behind))
    (request,) = behind.requests
    assert (request.method, request.path, request.query, request.body) == ("POST", "/mcp", b"q=1", b"ab")
    assert request.secure
    assert request.field("X-Thing") == "one, two"
    assert request.field("none") is None
    assert request.connection.peer == "127.0.0.1:50000"
    assert request.scope is not None


@pytest.mark.parametrize(
    ("path", "root", "raw", "seen"),
    [
        ("/mcp", "", b"/mcp", "/mcp"),
        ("/api/mcp", "/api", b"/api/mcp", "/mcp"),
        ("/api/mcp", "/api/", None, "/mcp"),
        ("/api", "/api", b"/api", "/"),
        ("/mcp", "/api", b"/api/mcp", "/mcp"),  # stripped by what mounts it
        ("/mcp", "/mcp", b"/mcp/mcp", "/mcp"),
        ("/apis", "/api", b"/apis", "/apis"),
        ("/a b", "/api", b"/api/a%20b", "/a b"),
    ],
)
async def test_the_path_is_relative_to_the_mount(path: str, root: str, raw: bytes | None, seen: str) -> None:
    behind = Behind(echo)
    await Exchange(path=path, root_path=root, raw_path=raw).body(b"").run(door(behind))
    assert behind.requests[0].path == seen


async def test_a_get_is_answered_without_waiting_for_a_body() -> None:
    exchange = await Exchange(method="GET").run(door(Behind(echo)))
    assert exchange.status == 200
    assert exchange.receives == 0


async def test_an_answer_from_another_task_needs_no_watcher_if_it_comes_soon() -> None:
    async with trio.open_nursery() as nursery:

        async def answer(request: HttpRequest, response: HttpResponse) -> None:
            nursery.start_soon(echo, request, response)

        exchange = await Exchange().body(b"hi").run(door(Behind(answer)))
    assert exchange.received_body == b"hi"
    assert exchange.receives == 1


async def test_a_status_without_a_body_has_no_length() -> None:
    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.respond(204, ())
        response.respond(500, ())  # the first is the answer

    exchange = await Exchange().body(b"").run(door(Behind(answer)))
    assert exchange.sent[0] == {"type": "http.response.start", "status": 204, "headers": []}
    assert exchange.is_complete


# --- what is refused ------------------------------------------------------------------


async def test_what_the_handler_refuses_is_not_read_into_memory(autojump_clock: trio.testing.MockClock) -> None:
    behind = Behind(echo, refusal=Refusal(403, PLAIN, b"no"))
    exchange = await Exchange().body(b"x" * 500, b"y").run(door(behind))
    assert (exchange.status, exchange.received_body, exchange.is_complete) == (403, b"no", True)
    assert exchange.fields[b"content-length"] == b"2"
    assert not behind.requests


async def test_a_body_that_says_it_is_too_long_is_refused_by_its_head() -> None:
    headers = [(b"content-length", b"1001")]
    exchange = await Exchange(headers=headers).body(b"x").run(door(Behind(echo)))
    assert exchange.status == 413


@pytest.mark.parametrize("last", [True, False])
async def test_a_body_that_grows_too_long_is_refused(last: bool, autojump_clock: trio.testing.MockClock) -> None:
    behind = Behind(echo)
    exchange = await Exchange().body(b"x" * 600, b"x" * 600, last=last).run(door(behind))
    assert exchange.status == 413
    assert exchange.is_complete
    assert not behind.requests
    assert trio.current_time() <= asgi.DISCARD_TIMEOUT


async def test_a_body_of_just_the_limit_is_taken() -> None:
    exchange = (
        await Exchange(headers=[(b"content-length", b"1000")]).body(b"x" * 600, b"x" * 400).run(door(Behind(echo)))
    )
    assert exchange.status == 200


async def test_a_refused_body_without_end_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    behind = Behind(echo, refusal=Refusal(403, PLAIN, b"no"))
    exchange = Exchange().body(*[b"x" * 65536] * 300, last=False)
    await exchange.run(door(behind))
    assert exchange.is_complete


async def test_a_body_that_does_not_come_is_answered_in_the_end(autojump_clock: trio.testing.MockClock) -> None:
    exchange = await Exchange().body(b"x", b"y", b"z", last=False).run(door(Behind(echo)))
    assert exchange.status == 408
    assert trio.current_time() == pytest.approx(asgi.BODY_TIMEOUT + asgi.DISCARD_TIMEOUT)


async def test_a_peer_that_leaves_in_the_middle_of_its_body_is_not_answered() -> None:
    behind = Behind(echo)
    exchange = await Exchange().body(b"x", last=False).event("http.disconnect").run(door(behind))
    assert not exchange.sent
    assert not behind.requests


# --- streams --------------------------------------------------------------------------


async def test_a_stream_leaves_in_pieces_and_says_when_it_is_clear(autojump_clock: trio.testing.MockClock) -> None:
    cleared: list[bool] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        async def pieces() -> None:
            response.on_clear = lambda: cleared.append(response.is_clogged)
            response.begin(200, ())
            response.begin(500, ())
            await trio.sleep(1)
            assert not bool(response.is_clogged)
            response.write(b"one ")
            response.write(b"two ")
            assert response.is_clogged
            await trio.sleep(1)
            assert not bool(response.is_clogged)
            response.finish(b"three")
            response.write(b"too late")

        nursery.start_soon(pieces)

    async with trio.open_nursery() as nursery:
        exchange = await Exchange().body(b"").run(door(Behind(answer)))
    assert [event.get("body") for event in exchange.sent] == [None, b"", b"one two ", b"three"]
    assert exchange.is_complete
    assert cleared == [False, False]


@pytest.mark.parametrize(
    ("method", "status", "length"), [("POST", 200, b"8"), ("HEAD", 200, None), ("POST", 204, None)]
)
async def test_a_stream_that_has_ended_before_it_leaves_has_a_length(
    method: str, status: int, length: bytes | None
) -> None:
    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.begin(status, ((b"content-type", b"text/event-stream"),))
        if status == 200:
            response.write(b"one ")
        response.finish(b"two\n" if status == 200 else b"")

    exchange = await Exchange(method=method).body(b"").run(door(Behind(answer)))
    assert exchange.fields.get(b"content-length") == length
    assert exchange.is_complete


async def test_a_peer_that_leaves_a_stream_is_noticed(autojump_clock: trio.testing.MockClock) -> None:
    gone: list[float] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append(trio.current_time())
        response.begin(200, ())

    exchange = Exchange().body(b"")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run, door(Behind(answer)))
        await trio.sleep(5)
        exchange.event("http.disconnect")
    assert gone == [5]
    assert not exchange.is_complete


async def test_a_server_that_says_disconnect_when_all_has_left_means_no_loss() -> None:
    gone: list[bool] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append(True)
        response.begin(200, ())
        nursery.start_soon(later, response)

    async def later(response: HttpResponse) -> None:
        await trio.testing.wait_all_tasks_blocked()
        response.end()

    class Eager(Exchange):
        has_finished = False

        async def send(self, event: Any) -> None:
            await super().send(event)
            if event.get("more_body") is False:
                self.event("http.disconnect")
                await trio.testing.wait_all_tasks_blocked()
                self.has_finished = True

    exchange = Eager().body(b"")
    async with trio.open_nursery() as nursery:
        await exchange.run(door(Behind(answer)))
    assert vars(exchange)["has_finished"]
    assert not gone


async def test_after_the_peer_has_gone_writing_does_nothing(autojump_clock: trio.testing.MockClock) -> None:
    responses: list[HttpResponse] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        responses.append(response)

    await Exchange().body(b"").event("http.disconnect").run(door(Behind(answer)))
    (response,) = responses
    assert response.is_gone
    response.begin(200, ())
    response.respond(200, ())
    response.write(b"x")
    response.end()
    response.abort()
    assert not response.is_clogged


async def test_a_peer_that_takes_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    gone: list[float] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append(trio.current_time())
        response.begin(200, ())
        response.write(b"x")

    exchange = Exchange().body(b"")
    exchange.is_open = trio.Event()
    await exchange.run(door(Behind(answer), write_timeout=7))
    assert gone == [7]


async def test_a_server_whose_send_cannot_be_cancelled_does_not_hide_that(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gone: list[float] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append(trio.current_time())
        response.respond(200, (), b"x" * 100_000)

    class Shielding(Exchange):
        async def send(self, event: Any) -> None:
            with trio.CancelScope(shield=True):
                await super().send(event)

    exchange = Shielding().body(b"")
    exchange.is_open = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run, door(Behind(answer), write_timeout=7))
        await trio.sleep(20)
        assert gone == [7]
        exchange.is_open.set()


async def test_a_send_that_fails_means_that_the_peer_has_gone() -> None:
    gone: list[bool] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append(True)
        response.respond(200, (), b"x")

    class Broken(Exchange):
        async def send(self, event: Any) -> None:
            raise BrokenPipeError

    await Broken().body(b"").run(door(Behind(answer)))
    assert gone == [True]


async def test_a_response_that_is_broken_off_stays_unfinished(autojump_clock: trio.testing.MockClock) -> None:
    gone: list[bool] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        async def break_off() -> None:
            await trio.sleep(1)
            response.abort()

        response.on_gone = lambda: gone.append(True)
        response.begin(200, ())
        response.write(b"half")
        nursery.start_soon(break_off)

    async with trio.open_nursery() as nursery:
        exchange = Exchange().body(b"")
        await exchange.run(door(Behind(answer)))
    assert exchange.received_body == b"half"
    assert not exchange.is_complete
    assert not gone


async def test_an_abort_frees_a_task_that_waits_for_the_peer(autojump_clock: trio.testing.MockClock) -> None:
    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.begin(200, ())
        nursery.start_soon(later, response)

    async def later(response: HttpResponse) -> None:
        await trio.sleep(1)
        response.abort()

    exchange = Exchange().body(b"")
    exchange.is_open = trio.Event()
    async with trio.open_nursery() as nursery:
        await exchange.run(door(Behind(answer)))
    assert trio.current_time() == 1


async def test_who_waits_is_told_when_the_server_cancels_the_request(autojump_clock: trio.testing.MockClock) -> None:
    gone: list[bool] = []

    async def answer(_: HttpRequest, response: HttpResponse) -> None:
        response.on_gone = lambda: gone.append(True)
        response.begin(200, ())

    with trio.move_on_after(3):
        await Exchange().body(b"").run(door(Behind(answer)))
    assert gone == [True]


# --- connections ----------------------------------------------------------------------


async def test_requests_from_one_address_share_a_connection() -> None:
    behind = Behind(echo)
    app = door(behind)
    for port in (50000, 50000, 50001):
        await Exchange(client=("127.0.0.1", port)).body(b"").run(app)
    one, two, three = (request.connection for request in behind.requests)
    assert one is two
    assert three is not one


async def test_who_was_quiet_longest_is_forgotten_and_not_who_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_requests, "IDLE_CONNECTIONS", 2)
    closed: list[str] = []

    async def answer(request: HttpRequest, response: HttpResponse) -> None:
        request.connection.on_closed = lambda: closed.append(request.connection.peer)
        if request.body:
            response.begin(200, ())
        else:
            response.respond(200, ())

    app = door(Behind(answer))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Exchange(client=("a", 1)).body(b"stay").run, app)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(4):
            await Exchange(client=("b", number)).body(b"").run(app)
        assert closed == ["b:0", "b:1"]
        nursery.cancel_scope.cancel()


async def test_where_the_peer_is_not_shown_each_request_is_a_connection() -> None:
    closed: list[str] = []

    async def answer(request: HttpRequest, response: HttpResponse) -> None:
        request.connection.on_closed = lambda: closed.append(request.connection.peer)
        response.respond(200, ())

    app = door(Behind(answer))
    for _ in range(2):
        await Exchange(client=None, server=None).body(b"").run(app)
    assert closed == ["unix", "unix"]


# --- lifespan, and what is not right --------------------------------------------------


async def test_the_lifespan_is_entered_and_left() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        steps.append("begins")
        yield
        steps.append("ends")

    exchange = Exchange("lifespan").event("lifespan.startup").event("lifespan.shutdown")
    await exchange.run(door(Behind(echo), lifespan=lifespan))
    assert [event["type"] for event in exchange.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert steps == ["begins", "ends"]


async def test_without_a_lifespan_the_server_is_answered_all_the_same() -> None:
    exchange = Exchange("lifespan").event("lifespan.startup").event("lifespan.shutdown")
    await exchange.run(door(Behind(echo)))
    assert [event["type"] for event in exchange.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("stage", ["startup", "shutdown"])
async def test_a_lifespan_that_fails_says_so(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if stage == "startup":
            raise ExceptionGroup("", [ValueError("no database"), OSError()])
        yield
        raise ValueError("no database")

    exchange = Exchange("lifespan").event("lifespan.startup").event("lifespan.shutdown")
    await exchange.run(door(Behind(echo), lifespan=lifespan))
    assert exchange.sent[-1]["type"] == f"lifespan.{stage}.failed"
    assert exchange.sent[-1]["message"].startswith("no database")
    assert "lifespan.failed" in capsys.readouterr().err


async def test_a_server_that_is_not_running_is_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    def nobody() -> Behind:
        raise UsageError("forward the lifespan to it")

    app = AsgiBinding(nobody)
    for _ in range(3):
        exchange = await Exchange().body(b"").run(app)
        assert exchange.status == 500
        assert b"not running" in exchange.received_body
    assert capsys.readouterr().err.count("forward the lifespan to it") == 1


async def test_a_scope_of_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="webtransport"):
        await Exchange("webtransport").run(door(Behind(echo)))


def test_under_asyncio_it_says_what_to_do() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event)

    async def run() -> None:
        app = door(Behind(echo))
        await app({"type": "lifespan"}, receive, send)
        with pytest.raises(UsageError, match="trio worker"):
            await app({"type": "http"}, receive, send)

    asyncio.run(run())
    assert sent == [{"type": "lifespan.startup.failed", "message": NOT_UNDER_TRIO}]
