"""Lists are the same for everybody, may be empty, and have cursors that are the server's business (server/*)."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.client.answering import HINTS, answering
from tests.requirements.traffic import everything
from tests.session.peer import ALL, ERAS, LEGACY, MODERN, Peer, RawServer, discovered, result, served

LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}


@pytest.mark.parametrize(("method", "field"), LISTS.items())
async def test_a_list_does_not_depend_on_who_asks_nor_on_what_was_asked_before(
    method: str, field: str, autojump_clock: MockClock
) -> None:
    server = everything()
    able = {"io.modelcontextprotocol/clientCapabilities": {"sampling": {}, "roots": {}, "elicitation": {}}}
    async with server.running(), served(server) as one, served(server) as other:
        first = (await one.ask(one.request(1, method)))["result"][field]
        assert first
        for request in (
            one.call(2, "add", {"a": 1, "b": 2}),
            one.call(3, "ask", **able),
            one.call(4, "no such tool"),
            one.request(5, "resources/read", {"uri": "mem://0"}),
            one.request(6, "prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}),
        ):
            await one.ask(request)
        for peer, meta in ((one, {}), (one, able), (other, {}), (other, able)):
            assert (await peer.ask(peer.request("again", method, **meta)))["result"][field] == first


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("method", "field"), LISTS.items())
async def test_a_list_of_what_is_declared_is_answered_though_nothing_is_left(
    version: str, method: str, field: str, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    server.tool(name="a")(lambda: 1)
    server.add_resource("mem:a", "a")
    server.prompt(name="a")(lambda: "a")
    async with server.running(), served(server, version) as peer:
        server.remove_tool("a")
        server.remove_resource("mem:a")
        server.remove_prompt("a")
        assert (await peer.ask(peer.request(1, method)))["result"][field] == []


CURSORS = ["", " ", "0", "null", "{}", 'ü\n\u2028\x00\\"', "%20", "=" * 5000, "\U0001f600"]


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(("method", "field"), LISTS.items())
async def test_a_cursor_goes_back_as_it_came_whatever_it_is(
    version: str, method: str, field: str, autojump_clock: MockClock
) -> None:
    asked: list[Any] = []

    async def serve(peer: Peer) -> None:
        opening = await peer.receive()
        able: dict[str, Any] = {"tools": {}, "resources": {}, "prompts": {}}
        about = {"protocolVersion": version, "capabilities": able, "serverInfo": {"name": "raw", "version": "1"}}
        if version == MODERN:
            await peer.send(discovered(opening["id"]))
        else:
            await peer.send(result(opening["id"], about))
            await peer.receive()
        for cursor in [*CURSORS, None]:
            request = await peer.receive()
            asked.append(request.get("params", {}).get("cursor"))
            more = {} if cursor is None else {"nextCursor": cursor}
            await peer.send(result(request["id"], {**(HINTS if version == MODERN else {}), field: [], **more}))
        assert await peer.rest() == []

    calls = {
        "tools/list": "list_tools",
        "resources/list": "list_resources",
        "resources/templates/list": "list_resource_templates",
        "prompts/list": "list_prompts",
    }
    async with trimcp.connect(RawServer(serve), revision=version) as client:
        assert await getattr(client, calls[method])() == []
    assert asked == [None, *CURSORS]


async def test_pages_may_be_of_any_size(autojump_clock: MockClock) -> None:
    sizes = [3, 0, 1, 50, 0, 2]

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        page = int(request["params"].get("cursor", "0"))
        tools = [{"name": f"t{page}-{n}", "inputSchema": {"type": "object"}} for n in range(sizes[page])]
        more = {"nextCursor": str(page + 1)} if page + 1 < len(sizes) else {}
        return result(request["id"], {**HINTS, "tools": tools, **more})

    async with trimcp.connect(answering({"tools/list": answer})) as client:
        assert len(await client.list_tools()) == sum(sizes)


@pytest.mark.parametrize("version", LEGACY)
async def test_a_client_keeps_no_cursor_beyond_its_session(version: str, autojump_clock: MockClock) -> None:
    # Where clients keep results at all, they keep them in the session; before 2026-07-28 they keep none.
    async with trimcp.connect(everything(), revision=version) as client:
        assert len(await client.list_tools()) > 2
        assert client.cache is None
