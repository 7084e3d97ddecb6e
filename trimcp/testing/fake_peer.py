"""Peers that speak raw messages, in either role, and know no rule of the protocol.

`open_fake_client` puts one in front of a server; `FakeServer` is a target of `trimcp.connect` that follows a script.
They send what no correct peer would send: that is what they are for.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
import trio.testing

from trimcp.client.listing import EMPTY, LISTS
from trimcp.server.app import Server
from trimcp.session.session import Session
from trimcp.transports.duplex import Duplex
from trimcp.transports.memory import memory_pair
from trimcp.types.jsonrpc import METHOD_NOT_FOUND
from trimcp.types.revisions import LATEST

Message = dict[str, Any]
"""A message of JSON-RPC, as Python's `json` reads it."""

MODERN: Final = LATEST.version
INFO: Final[Message] = {"name": "raw", "version": "1"}
META: Final[Message] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": INFO,
}
"""The `_meta` of each request of 2026-07-28."""
PATIENCE: Final = 1000.0
"""Seconds of the clock of the test that one step may take: longer than any default limit."""
CAPACITY: Final = 1 << 20
"""Bytes that wait between a fake client and its server."""


class FakePeer:
    """One end of a connection, by hand: sends any bytes, and returns each message that comes.

    Every wait ends after `PATIENCE` seconds of the clock of the test.
    """

    def __init__(self, duplex: Duplex, revision: str = MODERN) -> None:
        """
        Args:
            duplex: this end of the connection.
            revision: the revision whose form `request` has.
        """
        self.duplex: Duplex = duplex
        self.version: str = revision
        self.session: Session | None = None
        """The session of the server, for a fake client that `open_fake_client` opened."""
        self._inbox: deque[Any] = deque()

    # --- out --------------------------------------------------------------------------

    async def send(self, *messages: Message | list[Any] | bytes) -> None:
        """Send messages in one piece: bytes as they are, other values as JSON."""
        await self.send_bytes(b"".join((m if type(m) is bytes else json.dumps(m).encode()) + b"\n" for m in messages))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        with trio.fail_after(PATIENCE):
            await self.duplex.send_all(data)

    def request(self, id: Any, method: str, params: Message | None = None, **meta: Any) -> Message:
        """Make a request in the revision of the peer. `meta` goes into its `_meta`."""
        params = dict(params or {})
        stamp = {**META, **meta} if self.version == MODERN else meta
        if stamp:
            params["_meta"] = stamp
        return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}

    def call(self, id: Any, name: str, arguments: Message | None = None, **meta: Any) -> Message:
        """Make a `tools/call`."""
        return self.request(id, "tools/call", {"name": name, "arguments": arguments or {}}, **meta)

    async def end(self) -> None:
        """End the outgoing direction."""
        await self.duplex.send_eof()

    # --- in ---------------------------------------------------------------------------

    async def receive(self) -> Any:
        """Wait for the next message.

        Raises:
            EOFError: the other side has closed.
        """
        with trio.fail_after(PATIENCE):
            while not self._inbox:
                frames = await self.duplex.receive()
                if not frames:
                    raise EOFError("the other side has closed the connection")
                self._inbox.extend(json.loads(frame) for frame in frames if isinstance(frame, bytes))
        return self._inbox.popleft()

    async def expect(self, method: str) -> Any:
        """Wait for the next message, which must be a request or a notification of this method.

        Raises:
            AssertionError: another message came.
        """
        message = await self.receive()
        assert isinstance(message, dict), f"expected {method}, and a batch came: {message}"
        assert message.get("method") == method, f"expected {method}, and this came: {message}"
        return message

    async def ask(self, *messages: Message | list[Any] | bytes) -> Any:
        """Send messages, and wait for one."""
        await self.send(*messages)
        return await self.receive()

    async def rest(self) -> list[Any]:
        """Wait for the close of the other side; return all messages before it."""
        messages = []
        while True:
            try:
                messages.append(await self.receive())
            except EOFError:
                return messages

    async def settled(self) -> list[Any]:
        """Return all messages that come until every task waits. No time passes on a `MockClock`."""
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

    def initialize(self, id: Any = "opening", version: str | None = None) -> Message:
        """Make the request that opens a legacy session."""
        params = {"protocolVersion": version or self.version, "capabilities": {}, "clientInfo": INFO}
        return {"jsonrpc": "2.0", "id": id, "method": "initialize", "params": params}

    async def open(self) -> None:
        """Open a legacy session; in the modern era there is nothing to open."""
        if self.version != MODERN:
            answer = await self.ask(self.initialize())
            assert answer["result"]["protocolVersion"] == self.version, f"the server chose another revision: {answer}"
            await self.send(notification("notifications/initialized"))


# --- messages -------------------------------------------------------------------------


def notification(method: str, params: Message | None = None) -> Message:
    """Make a notification."""
    return {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}


def cancelled(id: Any, **more: Any) -> Message:
    """Make a `notifications/cancelled`."""
    return notification("notifications/cancelled", {"requestId": id, **more})


def result(id: Any, value: Message | None = None) -> Message:
    """Make a response with a result."""
    return {"jsonrpc": "2.0", "id": id, "result": value or {}}


def error(id: Any, code: int, message: str = "no", **more: Any) -> Message:
    """Make a response with an error."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, **more}}


def discovered(id: Any, *versions: str, **more: Any) -> Message:
    """Make a response to `server/discover`, of a server with tools, resources and prompts."""
    value = {
        "resultType": "complete",
        "supportedVersions": list(versions or (MODERN,)),
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "ttlMs": 0,
        "cacheScope": "private",
    }
    return result(id, {**value, **more})


# --- the two roles --------------------------------------------------------------------


@asynccontextmanager
async def open_fake_client(
    server: Server, revision: str = MODERN, *, opened: bool = True, capacity: int = CAPACITY
) -> AsyncIterator[FakePeer]:
    """Open a connection to a server in this process, with a raw peer as its client.

    Leaving the block cancels what still runs for the peer.

    Args:
        server: the server.
        revision: the revision that the peer speaks.
        opened: whether to open the session, in the legacy era.
        capacity: bytes that each direction buffers: a server whose peer does not read waits after them.
    """
    ours, theirs = memory_pair(capacity=capacity, limit=server.limits.message_bytes)
    peer = FakePeer(ours, revision)
    async with trio.open_nursery() as nursery:
        peer.session = await nursery.start(server.serve, theirs)
        if opened:
            await peer.open()
        yield peer
        nursery.cancel_scope.cancel()


Script = Callable[[FakePeer], Awaitable[None]]
"""Speaks for a fake server on one connection."""


class FakeServer:
    """A server for `trimcp.connect` that follows scripts: each connection gets the next one."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = deque(scripts)
        self.connections: int = 0
        """How many connections have been opened."""

    @classmethod
    def answering(cls, answers: Mapping[str, Any]) -> FakeServer:
        """Make a server of 2026-07-28 that answers one connection by a table.

        Its lists are empty where the table has none: a client may ask for them by itself. Any other request that is
        not in the table is answered with the error -32601.

        Args:
            answers: by method the result, or a function that makes a whole response of the request.
        """

        async def serve(peer: FakePeer) -> None:
            while True:
                try:
                    request = await peer.receive()
                except EOFError:
                    return
                if "id" in request:
                    await peer.send(_answer_to(request, answers))

        return cls(serve)

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the next script on a connection."""
        if not self._scripts:
            raise AssertionError(f"connection {self.connections + 1} has no script: give FakeServer one more")
        self.connections += 1
        script = self._scripts.popleft()
        task_status.started()
        await script(FakePeer(duplex))


def _answer_to(request: Message, answers: Mapping[str, Any]) -> Any:
    method = request["method"]
    answer: Any = answers.get(method)
    if callable(answer):
        return answer(request)
    if answer is not None:
        return result(request["id"], {"resultType": "complete", **answer})
    if method == "server/discover":
        return discovered(request["id"])
    if method in LISTS:
        return result(request["id"], {**EMPTY, LISTS[method].wire: []})
    return error(request["id"], METHOD_NOT_FOUND, f"Method not found: {method}")
