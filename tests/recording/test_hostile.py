"""Recordings with messages of any kind: they are masked, replayed and served without a failure of ours."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp.codec.jsontext import dumps
from trimcp.errors import TrimcpError
from trimcp.recording import replaying
from trimcp.recording.connections import DuplexConnection, http_connection
from trimcp.recording.differences import Comparison, IgnoredPaths
from trimcp.recording.format import Entry, Recording
from trimcp.recording.http_server import serve_http
from trimcp.recording.replaying import Replay
from trimcp.recording.secrets import SessionSecrets
from trimcp.recording.server import RecordedServer
from trimcp.transports.memory import memory_pair

scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "•••", "2026-07-28", "x•••y"])
NAMES = (
    *("_meta", "progressToken", "requestId", "requestState", "nextCursor", "inputResponses", "inputRequests"),
    *("name", "arguments", "content", "structuredContent", "tools", "inputSchema", "params", "password"),
    *("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/subscriptionId", "requestedSchema"),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
methods = st.sampled_from(
    [
        *("initialize", "notifications/initialized", "notifications/cancelled", "notifications/progress", "tools/call"),
        *("tools/list", "elicitation/create", "ping"),
    ]
)
metas = st.dictionaries(st.sampled_from(NAMES), scalars, max_size=3)
params = st.fixed_dictionaries({"_meta": metas}, optional=dict.fromkeys(NAMES[1:6], values)) | values
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={"id": values, "method": methods | values, "params": params, "result": params, "error": values},
)
anything = messages | values | st.lists(messages, max_size=2)
sides = st.sampled_from(["client", "server"])
lines = st.lists(st.tuples(sides, anything, st.none() | st.integers(1, 2), st.booleans()), max_size=6)


def recording_of(drawn: list[Any]) -> Recording:
    entries = []
    for at, (side, message, exchange, left) in enumerate(drawn):
        entries.append(Entry(at=at / 1000, session=1, sender=side, message=message, exchange=exchange))
        if left:
            entries.append(Entry(at=at / 1000, session=1, event="left", exchange=exchange))
    return Recording(entries=tuple(entries), began="")


@settings(max_examples=40)
@given(lines)
def test_messages_of_any_kind_are_masked(drawn: list[Any]) -> None:
    secrets = SessionSecrets()
    for side, message, _, _ in drawn:
        dumps(secrets.masked(side, message))


@settings(max_examples=40)
@given(lines, lines)
def test_one_recording_is_replayed_to_another(drawn: list[Any], other: list[Any]) -> None:
    async def main() -> None:
        ours, theirs = memory_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(RecordedServer(recording_of(other)).serve, theirs)
            connection = DuplexConnection(ours)
            nursery.start_soon(connection.read)
            for entries in recording_of(drawn).sessions():
                await Replay(entries, Comparison(IgnoredPaths()), timeout=5.0).run(connection)
            await ours.aclose()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@settings(max_examples=30)
@given(lines, lines)
def test_by_http_too(drawn: list[Any], other: list[Any]) -> None:
    # Of real sockets, no clock knows when they have nothing more to bring.
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_http, RecordedServer(recording_of(other)), "127.0.0.1", 0)
            try:
                async with http_connection(url, {}) as connection:
                    for entries in recording_of(drawn).sessions():
                        await Replay(entries, Comparison(IgnoredPaths()), timeout=0.01).run(connection)
            except* TrimcpError:
                pass
            nursery.cancel_scope.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "PATIENCE", 0.01)
        trio.run(main)
