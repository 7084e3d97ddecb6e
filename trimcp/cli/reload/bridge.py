"""Stands between a client on stdio and a server that is started again and again.

The client's pipe stays open. While no server runs, requests wait, up to a bound, and are then answered by an error; a
request that a server left unanswered is answered by an error as well. A new server is told what the old one knew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import trio

from trimcp.cli.reload.session_record import SessionRecord
from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import ConnectionEnded
from trimcp.framing.lines import Frame, Oversized
from trimcp.transports.duplex import Duplex

MOST_WAITING: Final = 1000
"""Requests that wait for a server, and requests that a server has not answered."""
TO_CLIENT: Final = 100
"""Messages that wait to be written to the client."""
DRAIN: Final = 60.0
"""Seconds that a server has to drain; then it is ended."""
REPEAT_TIMEOUT: Final = 30.0
"""Seconds that a new server has to take what the old one knew."""
RESTARTED: Final = "the server was restarted, and did not answer: send the request again"
STOPPED: Final = "the server does not run: see its stderr; it starts again when a file changes"


class Child(Protocol):
    """A server that runs."""

    @property
    def duplex(self) -> Duplex:
        """The connection with it."""
        ...

    def stop(self) -> None:
        """Ask it to drain."""
        ...


Starting = Callable[[], AbstractAsyncContextManager[Child]]
Key = tuple[type, Any]


def _key(id: Any) -> Key:
    """Return an id as a key: 1 and "1" are two."""
    return type(id), id


class Bridge:
    """Passes messages between the client and the server of the moment."""

    def __init__(self, client: Duplex, say: Callable[[str], None]) -> None:
        """
        Args:
            client: the connection with the client.
            say: shows a line to the user.
        """
        self._client = client
        self._say = say
        self._record = SessionRecord()
        self._child: Child | None = None
        self._draining: Child | None = None
        """The server that was told to end, and still waits for answers of the client."""
        self._is_down = False
        """Whether the server ended by itself, so that only a change of a file brings it back."""
        self._waiting: list[Mapping[str, Any] | bytes] = []
        self._unanswered: dict[Key, Mapping[str, Any]] = {}
        self._asked: dict[Key, Any] = {}
        """Requests of the server by the ids that the client knows, with the server's own ids."""
        self._repeated: dict[Key, Mapping[str, Any]] = {}
        self._repeats_done = trio.Event()
        self._numbers = itertools.count(1)
        self._left = trio.Event()
        self._out, self._outgoing = trio.open_memory_channel[bytes](TO_CLIENT)

    async def run(self, start: Starting, changed: trio.MemoryReceiveChannel[str]) -> None:
        """Serve the client until it leaves.

        Args:
            start: starts a server; leaving its context ends it.
            changed: brings the names of changed files.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_to_client)
            nursery.start_soon(self._read_client)
            with self._out:
                while not self._left.is_set():
                    await self._serve_once(start, changed)
            await self._client.send_eof()
            nursery.cancel_scope.cancel()

    def end(self) -> None:
        """Let the server drain, as if the client had sent all that it wants to send."""
        self._left.set()

    async def _serve_once(self, start: Starting, changed: trio.MemoryReceiveChannel[str]) -> None:
        """Start a server, and serve until it has ended, or a file has changed."""
        async with start() as child, trio.open_nursery() as nursery:
            ended = trio.Event()
            nursery.start_soon(self._read_child, child, ended)
            await self._greet(child, ended)
            reason = await self._wait_end(changed, ended)
            self._child, self._draining = None, child
            if self._left.is_set():
                await child.duplex.send_eof()
                with trio.move_on_after(DRAIN):
                    await ended.wait()
            elif reason is not None:
                self._say(f"{reason} changed: the server starts again")
                child.stop()
                with trio.move_on_after(DRAIN):
                    await ended.wait()
            self._draining = None
            nursery.cancel_scope.cancel()
        await self._give_up_requests()
        if reason is None and not self._left.is_set():
            self._is_down = True
            await self._refuse_waiting()
            self._say("the server has ended: it starts again when a file changes")
            reason = await self._wait_end(changed, trio.Event())
            self._is_down = False

    async def _wait_end(self, changed: trio.MemoryReceiveChannel[str], ended: trio.Event) -> str | None:
        """Wait until a file changes, or the server or the client has ended.

        Returns:
            The names of the changed files, if that is why.
        """
        names: str | None = None

        async def wait_change() -> None:
            nonlocal names
            names = await changed.receive()
            nursery.cancel_scope.cancel()

        async def wait_event(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_change)
            nursery.start_soon(wait_event, ended)
            nursery.start_soon(wait_event, self._left)
        return names

    # --- a new server -----------------------------------------------------------------

    async def _greet(self, child: Child, ended: trio.Event) -> None:
        """Tell a new server what the old one knew, and then what waits."""
        messages = list(self._record.to_repeat())
        self._repeats_done = trio.Event()
        for message in messages:
            if "id" in message:
                message = {**message, "id": f"trimcp-reload-{next(self._numbers)}"}
                self._repeated[_key(message["id"])] = message
            if not await self._send(child, message):
                return
        if self._repeated:
            with trio.move_on_after(REPEAT_TIMEOUT):
                await self._repeats_done.wait()
        self._repeated.clear()
        if ended.is_set():
            return
        self._child = child
        waiting, self._waiting = self._waiting, []
        for held in waiting:
            await self._to_child(held)
        if messages:
            for notification in self._record.to_announce():
                await self._out.send(dumps(notification))

    async def _send(self, child: Child, message: Mapping[str, Any] | bytes) -> bool:
        data = message if isinstance(message, bytes) else dumps(message)
        try:
            await child.duplex.send_all(data + child.duplex.delimiter)
        except ConnectionEnded:
            return False  # the reader of the server sees its end
        return True

    # --- from the client --------------------------------------------------------------

    async def _read_client(self) -> None:
        try:
            while frames := await self._client.receive():
                for frame in frames:
                    if not isinstance(frame, Oversized) and frame.strip():
                        await self._from_client(frame)
        except ConnectionEnded:
            pass
        self._left.set()

    async def _from_client(self, frame: bytes) -> None:
        message = _message(frame)
        if message is None:
            await self._to_child(frame)  # a batch, or nothing that we know: the server shall judge it
            return
        self._record.sent(message)
        if "method" not in message:
            answer = self._with_own_id(message)
            if answer is not None:
                await self._to_child(answer)
        elif "id" not in message:
            await self._to_child(message)
        elif self._is_down or len(self._unanswered) + len(self._waiting) >= MOST_WAITING:
            await self._refuse(message, STOPPED)
        else:
            await self._to_child(message)

    def _with_own_id(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return a response with the id that the server gave; None if that server is gone."""
        key = _key(message.get("id"))
        return {**message, "id": self._asked.pop(key)} if key in self._asked else None

    async def _to_child(self, message: Mapping[str, Any] | bytes) -> None:
        """Send a message to the server; a request waits where there is none."""
        if isinstance(message, bytes) or ("method" in message and "id" in message):
            if self._child is None:
                # Of requests, `_from_client` has refused those above the bound.
                if len(self._waiting) < MOST_WAITING:
                    self._waiting.append(message)
                return
            if not isinstance(message, bytes):
                self._unanswered[_key(message["id"])] = message
        elif message.get("method") == "notifications/cancelled" and self._child is None:
            cancelled = (message.get("params") or {}).get("requestId")
            self._waiting = [each for each in self._waiting if isinstance(each, bytes) or each["id"] != cancelled]
        child = self._child or self._draining
        if child is not None:
            await self._send(child, message)

    # --- from the server --------------------------------------------------------------

    async def _read_child(self, child: Child, ended: trio.Event) -> None:
        try:
            while frames := await child.duplex.receive():
                for frame in frames:
                    await self._from_child(frame)
        except ConnectionEnded:
            pass
        self._repeats_done.set()
        ended.set()

    async def _from_child(self, frame: Frame | Oversized) -> None:
        if isinstance(frame, Oversized) or not frame.strip():
            return
        message = _message(frame)
        if message is None:
            await self._out.send(bytes(frame))
            return
        key = _key(message.get("id"))
        if "method" in message:
            await self._out.send(dumps(self._as_client_knows(message)))
        elif key in self._repeated:
            del self._repeated[key]
            if "error" in message:
                self._say(f"the new server does not take up the session: {message['error']}")
            if not self._repeated:
                self._repeats_done.set()
        else:
            request = self._unanswered.pop(key, None)
            if request is not None:
                self._record.answered(request, message)
            await self._out.send(bytes(frame))

    def _as_client_knows(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a message of the server in which the id of its request is one that no earlier server used."""
        if "id" in message:
            id = f"server-{next(self._numbers)}"
            if len(self._asked) >= MOST_WAITING:
                del self._asked[next(iter(self._asked))]  # the oldest, which the client has forgotten
            self._asked[_key(id)] = message["id"]
            return {**message, "id": id}
        params = message.get("params")
        if message["method"] == "notifications/cancelled" and isinstance(params, Mapping):
            for (_, known), own in self._asked.items():
                if type(own) is type(params.get("requestId")) and own == params["requestId"]:
                    return {**message, "params": {**params, "requestId": known}}
        return message

    # --- what a server leaves behind --------------------------------------------------

    async def _give_up_requests(self) -> None:
        """Answer the requests that the server has left, and cancel those that it has sent."""
        unanswered, self._unanswered = self._unanswered, {}
        for request in unanswered.values():
            await self._refuse(request, RESTARTED)
        asked, self._asked = self._asked, {}
        for _, id in asked:
            params = {"requestId": id, "reason": "the server was restarted"}
            await self._out.send(dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))

    async def _refuse_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            if not isinstance(message, bytes):
                await self._refuse(message, STOPPED)

    async def _refuse(self, request: Mapping[str, Any], why: str) -> None:
        error = {"code": -32603, "message": why}
        await self._out.send(dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}))

    async def _write_to_client(self) -> None:
        try:
            async for data in self._outgoing:
                await self._client.send_all(data + self._client.delimiter)
        except ConnectionEnded:
            self._left.set()
            async for _ in self._outgoing:
                pass  # no client reads it


def _message(frame: bytes) -> Mapping[str, Any] | None:
    try:
        message = loads(frame)
    except InvalidJson:
        return None
    return message if isinstance(message, dict) else None
