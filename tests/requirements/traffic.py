"""Everything that a client and a server can say to each other, written down, to be held against the rules.

A server with something of everything serves a client that uses all of it; what passes between
them, in either direction, is the traffic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.server.context.people import Household, Person
from tests.session.peer import LEGACY, MODERN, PATIENCE
from tests.session.wire import WatchedDuplex
from trimcp.transports.memory import memory_pair

HARD = 'one\ntwo\r\n"three"\u2028\u2029\x85\x0bü\U0001f600\\n'
"""A text with all that a framing by lines may stumble over."""


def everything() -> trimcp.Server:
    """A server with something of everything."""
    server = trimcp.Server("everything", limits=trimcp.Limits(page=2))

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def echo(text: str) -> str:
        return text

    @server.tool
    async def report(ctx: trimcp.Context) -> str:
        ctx.log("warning", HARD, logger="reports")
        await ctx.progress(1, 2, HARD)
        await ctx.progress(2, 2)
        return "reported"

    @server.tool
    async def fail() -> str:
        raise trimcp.ToolError(HARD)

    @server.tool
    async def refuse() -> str:
        raise trimcp.RequestFailed(7, HARD, {"why": HARD})

    @server.tool
    async def wait() -> str:
        await trio.sleep_forever()
        return "never"

    @server.tool(timeout=1)
    async def late() -> str:
        await trio.sleep_forever()
        return "never"

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        said = await ctx.sample("say something")
        roots = await ctx.roots()
        return f"{said.text} {len(roots)}"

    @server.tool
    async def form(ctx: trimcp.Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    @server.tool
    async def picture() -> trimcp.Image:
        return trimcp.Image(b"\x89PNG\r\n\x1a\n")

    for number in range(3):
        server.add_resource(f"mem://{number}", HARD, name=f"resource {number}")

    @server.resource("mem://letters/{name}")
    async def letters(name: str) -> str:
        return name

    @server.prompt
    async def greet(name: str) -> str:
        return f"Greet {name}: {HARD}"

    @server.completion("greet", "name")
    async def names(value: str) -> list[str]:
        return [value + "da", HARD]

    return server


@attrs.frozen
class Traffic:
    """What passed, in order."""

    lines: list[tuple[str, dict[str, Any]]]
    """`out` is from the client, `in` from the server."""

    def of(self, direction: str, *, method: str | None = None) -> Iterator[dict[str, Any]]:
        """The messages of one side, in order."""
        for way, message in self.lines:
            if way == direction and (method is None or message.get("method") == method):
                yield message

    def requests(self, direction: str) -> list[dict[str, Any]]:
        """The requests that one side made."""
        return [m for m in self.of(direction) if "method" in m and "id" in m]

    def notifications(self, direction: str) -> list[dict[str, Any]]:
        """The notifications that one side sent."""
        return [m for m in self.of(direction) if "method" in m and "id" not in m]

    def responses(self, direction: str) -> list[dict[str, Any]]:
        """The answers that one side gave."""
        return [m for m in self.of(direction) if "method" not in m]


@asynccontextmanager
async def watched(
    server: trimcp.Server, version: str, **options: Any
) -> AsyncIterator[tuple[trimcp.Client, WatchedDuplex]]:
    """A client of a server, and its end of the connection, where all that passes is written down."""
    ours, theirs = memory_pair(capacity=1 << 20)
    end = WatchedDuplex(ours)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, theirs)
            async with trimcp.connect(end, revision=version, **options) as client:
                yield client, end
            nursery.cancel_scope.cancel()


async def traffic(version: str) -> Traffic:
    """All that passes while a client uses everything of a server, until the server drains. Wants a clock that jumps."""
    server = everything()
    async with watched(server, version, log_level="debug", **Household().options()) as (client, end):
        async with client.listen(tools=True, prompts=True, resources=True, uris=["mem://0"]):
            await use(client, version)
            server.notify_tools_changed()
            server.notify_resource_updated("mem://0")
            await client.ping()
            await wait_all_tasks_blocked()
        async with client.listen(tools=True), trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 5)
            await trio.sleep(10)
    return Traffic([(line.direction, line.message) for line in end.lines])


async def use(client: trimcp.Client, version: str) -> None:
    """Make every call there is."""
    await client.ping()
    await client.list_tools()
    await client.list_resources()
    await client.list_resource_templates()
    await client.list_prompts()
    await client.call_tool("add", {"a": 1, "b": 2})
    assert (await client.call_tool("echo", {"text": HARD})).text == HARD
    assert (await client.call_tool("report", on_progress=lambda *_: None)).text == "reported"
    assert (await client.call_tool("fail")).is_error
    assert (await client.call_tool("add", {"a": "x"})).is_error
    for tool in ("refuse", "no such tool", "late"):
        with pytest.raises(trimcp.RequestFailed):
            await client.call_tool(tool)
    with trio.move_on_after(1):
        await client.call_tool("wait", on_progress=lambda *_: None)
    with pytest.raises(trimcp.RequestTimedOut):
        await client.call_tool("wait", timeout=1)
    assert (await client.call_tool("ask")).text == "heard say something 1"
    if version >= "2025-06-18":
        assert (await client.call_tool("form")).text == "accept"
    await client.call_tool("picture")
    await client.read_resource("mem://0")
    assert (await client.read_resource("mem://letters/a")).text == "a"
    with pytest.raises(trimcp.ResourceNotFound):
        await client.read_resource("mem://nothing")
    await client.get_prompt("greet", {"name": HARD})
    await client.complete("name", "A", prompt="greet")
    with pytest.raises(trimcp.RequestFailed):
        await client.request("no/such/method")
    if version in LEGACY:
        client.notify("notifications/roots/list_changed")
    assert client.protocol_version == version or version == MODERN
