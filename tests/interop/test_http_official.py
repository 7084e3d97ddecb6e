"""The official Python client uses all that the server of tests/conformance has, over HTTP, behind both doors.

What it does over stdio it does here as well; what only HTTP has comes after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.conformance.serving import DOORS, serving
from tests.process.children import PATIENCE

mcp = pytest.importorskip("mcp")
httpx = pytest.importorskip("httpx2")
http_client = pytest.importorskip("mcp.client.streamable_http")

from tests.interop import test_everything_official as over_stdio  # noqa: E402 - it needs what may not be there
from tests.interop.test_everything_official import (  # noqa: E402, F401 - tests that are run here, too
    Person,
    test_a_refusal_reaches_the_tool_or_the_caller,
    test_it_calls_every_tool_that_asks_nothing,
    test_it_completes_arguments_of_prompts_and_templates,
    test_it_gets_every_prompt,
    test_it_is_asked_everything_and_each_tool_gets_its_answers,
    test_it_is_not_asked_what_it_did_not_declare,
    test_it_is_told_of_what_changes,
    test_it_reads_every_resource,
    test_log_messages_come_from_the_level_on_that_it_asked_for,
    test_progress_comes_in_order,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("mode", ["auto", "legacy"]),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
    # It leaves the generators of its HTTP client to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2:ResourceWarning"),
]
SPOKEN = {"auto": "2026-07-28", "legacy": "2025-11-25"}


@pytest.fixture(scope="module", params=DOORS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(request.param) as found:
        yield found


class Wire:
    """What the client sent, and what it was answered: a look at its HTTP."""

    def __init__(self) -> None:
        self.exchanges: list[tuple[str, int]] = []
        self.sessions: set[str] = set()
        self.resumed: list[str] = []

    async def note(self, response: Any) -> None:
        request = response.request
        self.exchanges.append((request.method, response.status_code))
        if session := response.headers.get("mcp-session-id"):
            self.sessions.add(session)
        if last := request.headers.get("last-event-id"):
            self.resumed.append(last)


@asynccontextmanager
async def connected_to(url: str, mode: str, wire: Wire, **options: Any) -> AsyncIterator[Any]:
    async with httpx.AsyncClient(timeout=PATIENCE, event_hooks={"response": [wire.note]}) as http:
        with trio.fail_after(PATIENCE):
            transport = http_client.streamable_http_client(url, http_client=http)
            async with mcp.Client(transport, mode=mode, **options) as connected:
                assert connected.protocol_version == SPOKEN[mode]
                if mode == "legacy":  # notices come on a stream that it opens by itself, after the handshake
                    while ("GET", 200) not in wire.exchanges:
                        await trio.sleep(0.005)
                yield connected


@pytest.fixture(autouse=True)
def over_http(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that were written for stdio connect to `url`."""

    def client(mode: str, **options: Any) -> Any:
        return connected_to(url, mode, Wire(), **options)

    monkeypatch.setattr(over_stdio, "client", client)


async def test_it_ends_its_session_and_leaves_nothing_to_come_back_to(url: str, mode: str) -> None:
    wire = Wire()
    async with connected_to(url, mode, wire) as connected:
        await connected.call_tool("test_simple_text")
    if mode == "auto":
        assert wire.sessions == set()
        assert {method for method, _ in wire.exchanges} == {"POST"}
        return
    (session,) = wire.sessions
    assert wire.exchanges[-1] == ("DELETE", 204)
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-session-id": session,
        "mcp-protocol-version": SPOKEN[mode],
    }
    async with httpx.AsyncClient() as http:
        assert (await http.post(url, json=ping, headers=headers)).status_code == 404


async def test_a_call_goes_on_where_the_server_let_go_of_its_connection(url: str, mode: str) -> None:
    wire = Wire()
    async with connected_to(url, mode, wire) as connected:
        result = await connected.call_tool("test_reconnection")
        assert result.content[0].text == "Reconnection test completed"
        await connected.call_tool("test_simple_text")
    assert len(wire.resumed) == (1 if mode == "legacy" else 0)


async def test_calls_that_ask_run_beside_each_other(url: str, mode: str) -> None:
    answers: list[str] = []
    async with connected_to(url, mode, Wire(), **Person().options()) as connected:

        async def ask(number: int) -> None:
            result = await connected.call_tool("test_sampling", {"prompt": f"question {number}"})
            answers.append(result.content[0].text)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
    assert sorted(answers) == sorted(f"LLM response: heard question {number}" for number in range(20))


async def test_a_call_that_is_given_up_does_not_disturb_the_others(url: str, mode: str) -> None:
    async with connected_to(url, mode, Wire()) as connected:
        with trio.move_on_after(0.05) as scope:
            for _ in range(1000):
                await connected.call_tool("test_tool_with_progress")
        assert scope.cancelled_caught
        assert not (await connected.call_tool("test_simple_text")).is_error
