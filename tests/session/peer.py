"""A raw peer: it speaks lines of JSON over one end of a memory pair, and knows no rule of the protocol.

`served` puts one in front of a server; `RawServer` makes one the server of a client. Also here:
what is logged, as a list.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import trimcp
from trimcp.observability import log
from trimcp.session.session import Session
from trimcp.transports.lines import LineDuplex
from trimcp.transports.memory import memory_pair

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
ERAS = ("2025-11-25", MODERN)
"""One revision of each era, for what must hold in both."""
ALL = (*LEGACY, MODERN)

PATIENCE = 1000.0
"""Seconds of the test's own clock: longer than any limit of trimcp's."""

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}


class Peer:
    """One end of a connection, by hand."""

    def __init__(self, duplex: LineDuplex, version: str) -> None:
        self.duplex = duplex
        self.version = version
        self.session: Session | None = None
        self._inbox: deque[Any] = deque()

    # --- out --------------------------------------------------------------------------

    async def send(self, *messages: Any) -> None:
        """Send messages in one piece: bytes as they are, anything else as JSON."""
        await self.send_bytes(b"".join((m if type(m) is bytes else json.dumps(m).encode()) + b"\n" for m in messages))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        with trio.fail_after(PATIENCE):
            await self.duplex.send_all(data)

    def request(self, id: Any, method: str, params: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """A request in the peer's revision."""
        params = dict(params or {})
        stamp = {**META, **meta} if self.version == MODERN else meta
        if stamp:
            params["_meta"] = stamp
        return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}

    def call(self, id: Any, name: str, arguments: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """A `tools/call`."""
        return self.request(id, "tools/call", {"name": name, "arguments": arguments or {}}, **meta)

    async def end(self) -> None:
        """Say that nothing more will be sent."""
        await self.duplex.send_eof()

    # --- in ---------------------------------------------------------------------------

    async def receive(self) -> Any:
        """The next message."""
        with trio.fail_after(PATIENCE):
            while not self._inbox:
                frames = await self.duplex.receive()
                if not frames:
                    raise EOFError
                self._inbox.extend(json.loads(frame) for frame in frames if isinstance(frame, bytes))
        return self._inbox.popleft()

    async def ask(self, *messages: Any) -> Any:
        """Send, and receive one message."""
        await self.send(*messages)
        return await self.receive()

    async def rest(self) -> list[Any]:
        """Every message until the other end closes."""
        messages = []
        while True:
            try:
                messages.append(await self.receive())
            except EOFError:
                return messages

    async def settled(self) -> list[Any]:
        """Every message that has come once nobody has anything left to do, and no time passes."""
        messages = list(self._inbox)
        self._inbox.clear()
        while True:
            frames: Any = ()
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    nonlocal frames
                    frames = await self.duplex.receive()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(receive)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            if not frames:
                return messages
            messages += [json.loads(frame) for frame in frames]

    # --- opening ----------------------------------------------------------------------

    def initialize(self, id: Any = "opening", version: str | None = None) -> dict[str, Any]:
        """The request that opens a legacy session."""
        params = {
            "protocolVersion": version or self.version,
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        }
        return {"jsonrpc": "2.0", "id": id, "method": "initialize", "params": params}

    async def open(self) -> None:
        """Open a legacy session; in the modern era there is nothing to do."""
        if self.version != MODERN:
            answer = await self.ask(self.initialize())
            assert answer["result"]["protocolVersion"] == self.version
            await self.send(notification("notifications/initialized"))


def notification(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}


def cancelled(id: Any, **more: Any) -> dict[str, Any]:
    """A `notifications/cancelled`."""
    return notification("notifications/cancelled", {"requestId": id, **more})


def result(id: Any, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer."""
    return {"jsonrpc": "2.0", "id": id, "result": value or {}}


def error(id: Any, code: int, message: str = "no", **more: Any) -> dict[str, Any]:
    """An error answer."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, **more}}


@asynccontextmanager
async def served(
    server: trimcp.Server, version: str = MODERN, *, opened: bool = True, capacity: int = 1 << 20
) -> AsyncIterator[Peer]:
    """A raw peer of a server, in a session that has been opened; what it leaves behind is cancelled."""
    ours, theirs = memory_pair(capacity=capacity, limit=server.limits.message_bytes)
    peer = Peer(ours, version)
    async with trio.open_nursery() as nursery:
        peer.session = await nursery.start(server.serve, theirs)
        if opened:
            await peer.open()
        yield peer
        nursery.cancel_scope.cancel()


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """A server for `trimcp.connect` that does what a script says; each connection gets the next one."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = deque(scripts)
        self.connections = 0

    async def serve(self, duplex: LineDuplex, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.connections += 1
        script = self._scripts.popleft()
        task_status.started()
        await script(Peer(duplex, MODERN))


def discovered(id: Any, *versions: str, **more: Any) -> dict[str, Any]:
    """An answer to `server/discover`."""
    return result(
        id,
        {
            "resultType": "complete",
            "supportedVersions": list(versions or (MODERN,)),
            "capabilities": {"tools": {}},
            "ttlMs": 0,
            "cacheScope": "private",
            **more,
        },
    )


@attrs.frozen
class Logged:
    """What trimcp has logged."""

    lines: list[tuple[str, str, dict[str, Any]]] = attrs.field(factory=list)

    def of(self, event: str) -> list[dict[str, Any]]:
        """The keys of each line of that event."""
        return [keys for _, name, keys in self.lines if name == event]

    def levels(self, event: str) -> list[str]:
        """The level of each line of that event."""
        return [level for level, name, _ in self.lines if name == event]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Take down what is logged, from `debug` on."""
    kept = Logged()
    monkeypatch.setattr(log, "_threshold", 10)
    monkeypatch.setattr(log, "_emit", lambda level, event, keys: kept.lines.append((level, event, keys)))
    return kept
