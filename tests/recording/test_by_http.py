"""Recordings over HTTP: of a server, by a proxy, replayed to a URL, and served at one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.recording.test_replaying import visit
from tests.recording.vault import CANARY, PATIENCE, fill_in, model, outcome, replayed, vault
from trimcp.errors import ExchangeFailed, RequestFailed
from trimcp.http.client.http_client import HttpClient
from trimcp.recording.connections import http_connection
from trimcp.recording.differences import Comparison, IgnoredPaths
from trimcp.recording.format import Recording, read_recording
from trimcp.recording.http_proxy import RecordingProxy
from trimcp.recording.http_server import serve_http
from trimcp.recording.replaying import Replay, ReplayedStep
from trimcp.recording.server import RecordedServer
from trimcp.recording.writer import RecordingWriter

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


@asynccontextmanager
async def at_url(server: trimcp.Server) -> AsyncIterator[str]:
    """Serve at a URL."""
    with trio.fail_after(PATIENCE):
        async with server.running(), trio.open_nursery() as nursery:
            host, port = await nursery.start(server.serve_http, 0)
            yield f"http://{host}:{port}/mcp"
            nursery.cancel_scope.cancel()


async def use(url: str, revision: str) -> None:
    headers = {"Authorization": f"Bearer {CANARY}", "Cookie": f"id={CANARY}"}
    async with trimcp.connect(
        url, revision=revision, headers=headers, elicitation=fill_in, sampling=model, cache=False
    ) as client:
        await visit(client)


async def replayed_at(recording: Recording, url: str) -> list[ReplayedStep]:
    (entries,) = recording.sessions()
    replay = Replay(entries, Comparison(IgnoredPaths()))
    async with http_connection(url, {}) as connection:
        return await replay.run(connection)


def check(path: Path, steps: list[ReplayedStep]) -> None:
    assert CANARY not in path.read_text()
    assert all(same for _, same in outcome(steps)), [step.differences for step in steps]
    assert len(outcome(steps)) >= 7


@ERAS
async def test_a_server_and_a_proxy_record_what_both_kinds_of_servers_repeat(tmp_path: Path, revision: str) -> None:
    of_server, of_proxy = tmp_path / "server.ndjson", tmp_path / "proxy.ndjson"
    server = vault()
    with server.record(of_server), RecordingWriter(of_proxy) as tap:
        async with at_url(server) as url, trio.open_nursery() as nursery:
            proxied = await nursery.start(RecordingProxy(url, tap).serve, "127.0.0.1", 0)
            await use(proxied, revision)
            nursery.cancel_scope.cancel()
    async with at_url(vault()) as url:
        for path in (of_server, of_proxy):
            recording = read_recording(path)
            check(path, await replayed_at(recording, url))
            check(path, await replayed(recording, vault()))
            if revision == "2026-07-28":  # how the call was cancelled
                assert [entry.event for entry in recording.entries if entry.event] == ["left"]


@ERAS
async def test_a_recording_of_stdio_is_replayed_to_a_url_and_served_at_one(tmp_path: Path, revision: str) -> None:
    from tests.recording.vault import recorded

    path = tmp_path / "session.ndjson"
    recording = await recorded(path, vault(), revision, visit)
    async with at_url(vault()) as url:
        check(path, await replayed_at(recording, url))
    mock = RecordedServer(recording)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_http, mock, "127.0.0.1", 0)
            await use(url, revision)
            check(path, await replayed_at(recording, url))
            async with trimcp.connect(url) as client:
                assert client.protocol_version == revision
                with pytest.raises(RequestFailed, match="Not recorded"):
                    await client.call_tool("add", {"a": 9, "b": 9})
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def asked(client: HttpClient, verb: str, body: bytes | None = None, **fields: str) -> AsyncIterator[Any]:
    async with client.request(verb, {name.replace("_", "-"): value for name, value in fields.items()}, body) as answer:
        yield answer


async def test_the_doors_refuse_other_pages_other_paths_and_nonsense(tmp_path: Path) -> None:
    from trimcp.http.client.connect import http_client_for

    recording = Recording(entries=(), began="")
    with trio.fail_after(PATIENCE), RecordingWriter(tmp_path / "session.ndjson") as tap:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_http, RecordedServer(recording), "127.0.0.1", 0)
            proxied = await nursery.start(RecordingProxy(url, tap).serve, "127.0.0.1", 0)
            for where in (url, proxied):
                client = http_client_for(where, {})
                status = functools.partial(_status, client)
                assert await status("POST", b"{}", origin="https://evil.example") == 403
                assert await status("POST", b"{}", host="evil.example") == 403
                assert await status("GET") == 405
                assert await status("POST", b"nonsense") == 400
                assert await status("POST", b"[]") == 400
                unknown = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
                assert await status("POST", unknown, mcp_session_id="none") == 404
                assert await status("DELETE", mcp_session_id="none") == 404
                assert await status("POST", unknown) == 200
                other = http_client_for(where.replace("/mcp", "/token"), {})
                assert await _status(other, "POST", f"secret={CANARY}".encode()) == 404
                await client.aclose()
                await other.aclose()
            nursery.cancel_scope.cancel()
    assert CANARY not in (tmp_path / "session.ndjson").read_text()


async def _status(client: HttpClient, verb: str, body: bytes | None = None, **fields: str) -> int:
    async with asked(client, verb, body, **fields) as answer:
        return int(answer.status)


async def test_a_proxy_of_a_server_that_is_gone_says_so(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE), RecordingWriter(tmp_path / "session.ndjson") as tap:
        async with trio.open_nursery() as nursery:
            proxied = await nursery.start(RecordingProxy("http://127.0.0.1:9/mcp", tap).serve, "127.0.0.1", 0)
            with pytest.raises(ExchangeFailed) as failed:
                async with trimcp.connect(proxied, revision="2026-07-28"):
                    pass
            assert failed.value.status == 502
            nursery.cancel_scope.cancel()
