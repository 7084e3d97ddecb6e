"""A browser at the endpoint, the access log, and other protocols at each listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.process.children import PATIENCE
from trimcp.observability import log

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


async def answer(port: int, head: str, body: bytes = b"") -> tuple[bytes, bytes]:
    """Send one request to a port of loopback; return the head and the body of the response."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        length = f"content-length: {len(body)}\r\n" if body else ""
        await stream.send_all(f"{head}\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{length}\r\n".encode() + body)
        data = b"".join([part async for part in stream])
    head_part, _, rest = data.partition(b"\r\n\r\n")
    return head_part, rest


@asynccontextmanager
async def served(binding: str, server: trimcp.Server, **options: Any) -> AsyncIterator[int]:
    """Serve a server by HTTP on a free port."""
    async with trio.open_nursery() as nursery:
        serve: Any = {"built-in": server.serve_http, "hypercorn": server.serve_hypercorn}[binding]

        async def run(*, task_status: trio.TaskStatus[Any]) -> None:
            await serve(0, task_status=task_status, **options)

        _, port = await nursery.start(run)
        with trio.fail_after(PATIENCE):
            yield port
        nursery.cancel_scope.cancel()


def named(**options: Any) -> trimcp.Server:
    """A server whose name a page must escape."""
    server = trimcp.Server("<b>ovens", **options)

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


BINDINGS = pytest.mark.parametrize("binding", ["built-in", "hypercorn"])


@BINDINGS
@pytest.mark.parametrize("revisions", [None, ["2026-07-28"], ["2025-03-26"]])
async def test_a_browser_gets_a_page_that_tells_what_this_is(binding: str, revisions: list[str] | None) -> None:
    async with served(binding, named(revisions=revisions)) as port:
        head, page = await answer(port, f"GET /mcp HTTP/1.1\r\naccept: {BROWSER}")
        assert b" 405" in head.splitlines()[0]
        assert b"content-type: text/html" in head.lower()
        assert b"Model Context Protocol" in page
        assert b"&lt;b&gt;ovens" in page
        assert b"<b>" not in page
        head, _ = await answer(port, "GET /mcp HTTP/1.1\r\naccept: text/event-stream, text/html")
        assert b"text/html" not in head


async def ann_alone(request: trimcp.HttpRequest) -> Any:
    """Know one sender."""
    return "ann" if request.field("authorization") == "Bearer ann" else trimcp.Unauthenticated()


@BINDINGS
async def test_the_page_is_behind_authentication(binding: str) -> None:
    async with served(binding, named(), authenticate=ann_alone) as port:
        head, page = await answer(port, f"GET /mcp HTTP/1.1\r\naccept: {BROWSER}")
        assert b" 401" in head.splitlines()[0]
        assert b"ovens" not in page
        head, page = await answer(port, f"GET /mcp HTTP/1.1\r\naccept: {BROWSER}\r\nauthorization: Bearer ann")
        assert b" 405" in head.splitlines()[0]
        assert b"ovens" in page


@BINDINGS
@pytest.mark.parametrize("on", [True, False])
async def test_the_access_log_is_a_line_for_each_request_and_off_by_default(
    binding: str, on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(log, "_emit", lambda level, event, keys: lines.append({"event": event, **keys}))
    options: dict[str, Any] = {"access_log": True} if on else {}
    async with served(binding, named(), authenticate=ann_alone, **options) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        async with trimcp.connect(url, revision="2026-07-28", auth="ann") as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        async with trimcp.connect(url, revision="2025-11-25", auth="ann") as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        await answer(port, "GET /elsewhere?token=secret HTTP/1.1")
        await answer(port, f"GET /mcp HTTP/1.1\r\naccept: {BROWSER}")
    found = [line for line in lines if line["event"] == "http.answered"]
    if not on:
        assert found == []
        return
    kinds = [(line["method"], line["path"], line["status"], line["principal"]) for line in found]
    assert ("POST", "/mcp", 200, "ann") in kinds
    assert ("GET", "/mcp", 401, "") in kinds
    assert ("GET", "/elsewhere", 404, "") in kinds
    assert kinds.count(("POST", "/mcp", 200, "ann")) >= 4
    assert "secret" not in str(found)


TLS = bytes.fromhex("16030100c8010000c40303") + bytes(200)
HTTP = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl\r\nAccept: */*\r\nA: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n"


@pytest.mark.parametrize(
    ("listener", "spoken"), [("tcp", TLS), ("tcp", HTTP), ("http", TLS), ("http", b'{"jsonrpc":"2.0","id":1}\n')]
)
async def test_another_protocol_is_told_in_one_line(
    listener: str, spoken: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(log, "_emit", lambda level, event, keys: lines.append({"event": event, **keys}))
    server = named()
    async with trio.open_nursery() as nursery:
        serve = server.serve_tcp if listener == "tcp" else server.serve_http

        async def run(*, task_status: trio.TaskStatus[Any]) -> None:
            await serve(0, task_status=task_status)

        _, port = await nursery.start(run)
        with trio.fail_after(PATIENCE):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await stream.send_all(spoken)
                # It is closed at once, and does not wait for a line that never ends.
                answered = b"".join([part async for part in stream])
        nursery.cancel_scope.cancel()
    assert answered.count(b"\n") <= 8
    assert [line["event"] for line in lines] == ["protocol.mistaken"]
