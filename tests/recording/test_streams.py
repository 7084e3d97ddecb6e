"""Event streams of the legacy era: a replay resumes those that are lost, and a mock has the GET stream of a session."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.recording.test_by_http import at_url, replayed_at
from tests.recording.vault import PATIENCE, outcome
from trimcp.framing.sse import Event, EventParser
from trimcp.http.client.connect import http_client_for
from trimcp.recording.format import Entry, Recording, read_recording
from trimcp.recording.http_server import serve_http
from trimcp.recording.server import RecordedServer

LEGACY = "2025-11-25"


def leaving() -> trimcp.Server:
    """Make a server one of whose tools ends the stream of its request before the answer."""
    server = trimcp.Server("leaving", version="1")

    @server.tool
    async def leave(times: int, ctx: trimcp.Context) -> str:
        for number in range(times):
            ctx.log("info", f"before stream {number}")
            await ctx.close_stream(retry=0.01)
        return "back again"

    return server


async def test_a_stream_that_the_server_ends_is_resumed(tmp_path: Path) -> None:
    path, server = tmp_path / "session.ndjson", leaving()
    with server.record(path):
        async with at_url(server) as url, trimcp.connect(url, revision=LEGACY, cache=False, log_level="info") as client:
            for times in (1, 3):
                assert (await client.call_tool("leave", {"times": times})).text == "back again"
    async with at_url(leaving()) as url:
        steps = await replayed_at(read_recording(path), url)
    assert all(same for _, same in outcome(steps)), [(step.problem, step.differences) for step in steps]
    answers = [step.replayed.answer for step in steps if step.recorded.method == "tools/call" and step.replayed]
    assert ["result" in answer.message for answer in answers if answer is not None] == [True, True]


async def test_a_stream_that_cannot_be_resumed_is_no_answer(tmp_path: Path) -> None:
    """The mock forgets what it sent: a stream that broke in it cannot be resumed."""
    streams = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        if data.startswith(b"POST") and b"tools/call" in data:
            body = b"id: 7\r\nretry: 10\r\ndata:\r\n\r\n"
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        else:
            assert b"last-event-id: 7\r\n" in data.lower()
            streams.set()
            head, body = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", b""
        await stream.send_all(head + body)
        await stream.aclose()

    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "leave"}}
    answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
    recording = Recording(began="", entries=(entry(0, "client", asked, 1), entry(1, "server", answer, 1)))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/mcp"
            (step,) = await replayed_at(recording, url)
            nursery.cancel_scope.cancel()
    assert streams.is_set()
    assert not step.is_same
    assert step.replayed is not None
    assert step.replayed.answer is not None
    assert "was answered with HTTP 404" in step.replayed.answer.message["error"]["message"]


# --- the mock ---------------------------------------------------------------------------


def entry(at: float, sender: Any, message: Any, exchange: int | None) -> Entry:
    return Entry(at=at, session=1, sender=sender, message={"jsonrpc": "2.0", **message}, exchange=exchange)


def session_with_news(*, by_http: bool) -> Recording:
    """Make a recording in which the server sends messages of its own accord, also a question."""
    opening = {"protocolVersion": LEGACY, "capabilities": {"tools": {"listChanged": True}}}
    info = {"serverInfo": {"name": "news", "version": "1"}}
    call = {"method": "tools/call", "params": {"name": "add"}}
    exchanges = (1, 2, 3, 4, 5) if by_http else (None,) * 5
    one, two, news, four, five = exchanges
    return Recording(
        began="",
        entries=(
            entry(0, "client", {"id": 0, "method": "initialize", "params": {}}, one),
            entry(1, "server", {"id": 0, "result": {**opening, **info}}, one),
            entry(2, "client", {"method": "notifications/initialized"}, two),
            entry(3, "server", {"method": "notifications/tools/list_changed"}, news),
            entry(4, "client", {"id": 1, **call}, four),
            entry(6, "server", {"id": 1, "result": {"content": []}}, four),
            entry(7, "server", {"id": "q", "method": "ping"}, news),
            entry(8, "client", {"id": "q", "result": {}}, five),
            entry(9, "server", {"method": "notifications/prompts/list_changed"}, news),
        ),
    )


@contextlib.asynccontextmanager
async def get_stream(url: str, session: str) -> AsyncIterator[trio.MemoryReceiveChannel[Any]]:
    """Open the GET stream of a session, and read its messages."""
    from trimcp.codec.jsontext import loads

    client = http_client_for(url, {})
    send, receive = trio.open_memory_channel[Any](10)

    async def read() -> None:
        parser = EventParser()
        with send:
            async with client.request("GET", {"Mcp-Session-Id": session, "Accept": "text/event-stream"}) as answer:
                assert answer.status == 200
                while (piece := await answer.next_piece()) is not None:
                    for event in parser.feed(piece):
                        assert isinstance(event, Event)
                        await send.send(loads(event.data))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        yield receive
        nursery.cancel_scope.cancel()
    await client.aclose()


@pytest.mark.parametrize("by_http", [True, False], ids=["HTTP", "stdio"])
async def test_what_belongs_to_no_request_leaves_on_the_get_stream(by_http: bool) -> None:
    from trimcp.codec.jsontext import dumps, loads

    mock = RecordedServer(session_with_news(by_http=by_http))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_http, mock, "127.0.0.1", 0)
            client = http_client_for(url, {})

            async def post(session: str, message: Any) -> tuple[str, str, bytes]:
                fields = {"Mcp-Session-Id": session} if session else {}
                async with client.request("POST", fields, dumps({"jsonrpc": "2.0", **message})) as answer:
                    return answer.fields.get("mcp-session-id", ""), answer.media_type, await answer.body(10**6)

            session, _, _ = await post("", {"id": 0, "method": "initialize", "params": {}})
            await post(session, {"method": "notifications/initialized"})
            async with get_stream(url, session) as news:
                assert (await news.receive())["method"] == "notifications/tools/list_changed"
                _, kind, body = await post(session, {"id": 9, "method": "tools/call", "params": {"name": "add"}})
                assert (kind, loads(body)) == (
                    "application/json",
                    {"jsonrpc": "2.0", "id": 9, "result": {"content": []}},
                )
                question = await news.receive()
                assert question["method"] == "ping"
                await post(session, {"id": question["id"], "result": {}})
                assert (await news.receive())["method"] == "notifications/prompts/list_changed"
                async with get_stream(url, session) as newer:  # the client opens another one: this one ends
                    with pytest.raises(trio.EndOfChannel):
                        await news.receive()
                    async with client.request("DELETE", {"Mcp-Session-Id": session}) as answer:
                        assert answer.status == 200
                    with pytest.raises(trio.EndOfChannel):
                        await newer.receive()
            async with client.request("GET", {"Mcp-Session-Id": session}) as answer:
                assert answer.status == 404
            await client.aclose()
            nursery.cancel_scope.cancel()


async def test_a_client_of_the_mock_hears_of_changes() -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_http, RecordedServer(session_with_news(by_http=True)), "127.0.0.1", 0)
            async with trimcp.connect(url, revision=LEGACY, cache=False) as client, client.notices() as notices:
                await client.call_tool("add")
                while not isinstance(await anext(notices), trimcp.PromptsChanged):
                    pass  # that of the tools may have come before
            nursery.cancel_scope.cancel()
