"""Servers for groups: one that can be killed, ones that never get as far as being ready, and what is read of events."""

from __future__ import annotations

from typing import Any

import trio

import trimcp
from tests.session.peer import PATIENCE, Peer, RawServer
from trimcp.client.group.events import GroupEvent


def offering(name: str = "one", *, tools: tuple[str, ...] = ("look",)) -> trimcp.Server:
    """A server whose tools say who they are; with a prompt, a resource and a template."""
    server = trimcp.Server(name)
    for tool in tools:
        server.tool(named(name, tool), name=tool)

    @server.prompt
    async def greet(who: str) -> str:
        return f"{name} greets {who}."

    server.add_resource("mem://shared", f"shared, by {name}")
    server.add_resource(f"mem://only-{name}", f"only {name}'s")

    @server.resource(f"made-{name}://{{what}}")
    async def made(what: str) -> str:
        return f"{what}, by {name}"

    return server


def named(name: str, tool: str) -> Any:
    """A tool's function."""

    async def look() -> str:
        """Say who is called."""
        return f"{name}.{tool}"

    return look


class Mortal:
    """A target for `connect`: a server whose connections can be cut."""

    def __init__(self, server: trimcp.Server | None = None) -> None:
        self.server = server or offering()
        self.connections = 0
        self._duplex: Any = None

    async def serve(self, duplex: Any, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """See `Server.serve`."""
        self.connections += 1
        self._duplex = duplex
        await self.server.serve(duplex, task_status=task_status)

    async def die(self) -> None:
        """Cut the connection that there is."""
        await self._duplex.aclose()


async def leaving(peer: Peer) -> None:
    """A server that closes the connection as soon as there is one."""
    await peer.duplex.aclose()


async def silent(peer: Peer) -> None:
    """A server that never answers."""
    await trio.sleep_forever()


async def crashing(peer: Peer) -> None:
    """A server with a bug, in this process."""
    await peer.receive()
    raise ZeroDivisionError("a bug of the server's")


class Always(RawServer):
    """A server for `connect` that does the same on every connection."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self._script = script

    async def serve(self, duplex: Any, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._scripts.append(self._script)
        await super().serve(duplex, task_status=task_status)


async def following(events: trimcp.GroupEvents) -> GroupEvent:
    """The next event."""
    with trio.fail_after(PATIENCE * 10):
        return await anext(events)


async def until(events: trimcp.GroupEvents, kind: type[GroupEvent]) -> list[Any]:
    """All events up to the first of a kind."""
    seen: list[Any] = []
    while not seen or not isinstance(seen[-1], kind):
        seen.append(await following(events))
    return seen
