"""WebSocket through the ASGI door, in front of a server that is two queues."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tests.http.asgi.asgi_server import Behind, Exchange, door
from tests.http.websocket import websockets
from tests.http.websocket.websockets import Side
from trimcp.errors import ConnectionLost, UsageError
from trimcp.http.asgi.app import AsgiBinding
from trimcp.http.asgi.websocket import AsgiWebSocketDuplex
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse, Refusal
from trimcp.testing.check_transport import check_duplex
from trimcp.transports.duplex import Duplex


async def unused(request: HttpRequest, response: HttpResponse) -> None:
    raise AssertionError


async def test_it_passes_the_kit() -> None:
    await check_duplex(websockets.asgi_websocket, eof=False)


async def echo(duplex: Duplex, request: HttpRequest) -> None:
    assert (request.method, request.field("host"), request.path) == ("GET", "localhost", "/mcp")
    while frames := await duplex.receive():
        for frame in frames:
            assert isinstance(frame, bytes)
            await duplex.send_all(frame + duplex.delimiter)


def opened(**scope: Any) -> Exchange:
    return Exchange("websocket", scheme="ws", **{"subprotocols": ["mcp"], **scope}).event("websocket.connect")


async def test_a_websocket_is_served_until_its_peer_closes_it() -> None:
    exchange = opened().event("websocket.receive", text='{"a": "é"}').event("websocket.receive", text="")
    exchange.event("websocket.disconnect", code=1000)
    await exchange.run(door(Behind(unused), websocket=echo))
    assert exchange.sent == [
        {"type": "websocket.accept", "subprotocol": "mcp"},
        {"type": "websocket.send", "text": '{"a": "é"}'},
    ]


async def test_a_client_that_offers_no_subprotocol_is_served() -> None:
    exchange = opened(subprotocols=[]).event("websocket.disconnect", code=1001)
    await exchange.run(door(Behind(unused), websocket=echo))
    assert exchange.sent == [{"type": "websocket.accept", "subprotocol": None}]


@pytest.mark.parametrize(
    ("behind", "options", "scope", "status"),
    [
        (Behind(unused, refusal=Refusal(403, PLAIN, b"no")), {"websocket": echo}, {}, 403),
        (Behind(unused), {"websocket": echo}, {"subprotocols": ["graphql-ws"]}, 400),
        (Behind(unused), {}, {}, 404),
    ],
)
async def test_who_is_not_let_in_gets_a_status_where_the_server_can(
    behind: Behind, options: Any, scope: Any, status: int
) -> None:
    exchange = await opened(**scope, extensions={"websocket.http.response": {}}).run(door(behind, **options))
    assert [event["type"] for event in exchange.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert exchange.status == status
    assert int(exchange.fields[b"content-length"]) == len(exchange.received_body)
    exchange = await opened(**scope).run(door(behind, **options))
    assert [event["type"] for event in exchange.sent] == ["websocket.close"]


async def test_where_nothing_runs_a_websocket_is_denied() -> None:
    def nobody() -> Behind:
        raise UsageError("forward the lifespan to it")

    exchange = await opened().run(AsgiBinding(nobody, websocket=echo))
    assert [event["type"] for event in exchange.sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("event", "code"),
    [({"bytes": b"{}"}, 1003), ({"text": "x" * 101}, 1009), ({"text": "é" * 51, "bytes": None}, 1009)],
)
async def test_messages_that_are_none_close_the_connection(
    event: Any, code: int, autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = opened().event("websocket.receive", text="x" * 100).event("websocket.receive", **event)
    await exchange.run(door(Behind(unused), websocket=echo, message_bytes=100))
    assert exchange.sent[1] == {"type": "websocket.send", "text": "x" * 100}
    assert exchange.sent[2:] == [{"type": "websocket.close", "code": code}]
    assert "connection.lost" in capsys.readouterr().err


async def test_a_session_that_fails_closes_its_own_connection(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(duplex: Duplex, request: HttpRequest) -> None:
        raise ValueError("a bug")

    exchange = await opened().run(door(Behind(unused), websocket=fail))
    assert exchange.sent[1:] == [{"type": "websocket.close", "code": 1011}]
    assert "a bug" in capsys.readouterr().err


async def test_a_session_that_ends_or_is_cancelled_says_so(autojump_clock: trio.testing.MockClock) -> None:
    async def leave(duplex: Any, request: HttpRequest) -> None:
        duplex.close_code = 1008

    exchange = await opened().run(door(Behind(unused), websocket=leave))
    assert exchange.sent[1:] == [{"type": "websocket.close", "code": 1008}]
    exchange = opened()
    with trio.move_on_after(1):
        await exchange.run(door(Behind(unused), websocket=echo))
    assert exchange.sent[1:] == [{"type": "websocket.close", "code": 1001}]


async def test_a_connection_that_breaks_is_lost() -> None:
    side, other = Side(), Side()
    side.other, other.other = other, side
    duplex = AsgiWebSocketDuplex(side.receive, side.send, "websocket test")
    side.put({"type": "websocket.receive", "text": "one"})
    side.put({"type": "websocket.disconnect", "code": 1006})
    assert await duplex.receive() == [b"one"]
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="1006"):
            await duplex.receive()
    with pytest.raises(ConnectionLost):
        await duplex.send_all(b"x\n")
    await duplex.send_eof()
    await duplex.aclose()
    assert not side.sent
