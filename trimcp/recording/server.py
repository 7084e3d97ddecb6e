"""`RecordedServer`: a server that answers each request as a recording says that it was answered."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal

import trio

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import ConnectionEnded
from trimcp.framing.lines import Oversized
from trimcp.recording.format import Entry, Recording, read_recording
from trimcp.recording.matching import same_params
from trimcp.recording.messages import id_key, kind_of, params_of
from trimcp.recording.steps import Step, flattened, steps_of, token_of
from trimcp.transports.duplex import Duplex
from trimcp.types.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from trimcp.types.metadata import SUBSCRIPTION_ID

Timing = Literal["fast", "as-recorded"]
Send = Callable[[dict[str, Any]], Awaitable[None]]
"""Sends a message to the client."""

HANDSHAKE: Final = ("initialize", "server/discover", "ping", "subscriptions/listen", "logging/setLevel")
"""Methods that are answered as recorded whatever their params: a client names itself in them."""
MOST_RUNNING: Final = 1000
"""Requests of one connection that are being answered. The server reads on when one of them has ended."""
MOST_UNRECORDED: Final = 1000
"""Requests without a recorded answer that are kept for the user, the first ones."""
TO_CLIENT: Final = 64
"""Messages that wait to be written to the client."""


def replay(path: str | os.PathLike[str], *, timing: Timing = "fast") -> RecordedServer:
    """Return a server that answers each request as it was answered in a recording.

        async with trimcp.connect(replay("session.ndjson")) as client:
            assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3

    Requests are found by their method and params. Where the recording has several, they come in the recorded order,
    and the last one again and again. A request that was never recorded fails, and is in `unrecorded`.

    Args:
        path: of a file that `trimcp record`, or an option `--record`, has written.
        timing: `as-recorded` answers as slowly as the recorded server did.

    Raises:
        UsageError: the file cannot be read, or is no recording.
    """
    return RecordedServer(read_recording(path), timing=timing)


class RecordedServer:
    """Answers requests as recorded for the same method and params; a target of `trimcp.connect`.

    Where the recording has several, they come in the recorded order, and the last one again and again. A request that
    was never recorded gets an error. Each connection starts from the beginning.
    """

    def __init__(self, recording: Recording, *, timing: Timing = "fast") -> None:
        """
        Args:
            recording: what `read_recording` has read.
            timing: `as-recorded` answers as slowly as the recorded server did.
        """
        self._sessions = [RecordedSession(entries) for entries in recording.sessions()]
        self._timing: Timing = timing
        self.unrecorded: list[dict[str, Any]] = []
        """The first requests that the recording has no answer to."""

    def conversation(self) -> Conversation:
        """Begin to answer one client."""
        return Conversation(self._sessions, self._timing, self.unrecorded)

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one connection, until the client has ended it."""
        task_status.started()
        await _Connection(duplex, self.conversation()).run()


class RecordedSession:
    """Knows what the server sent for each message of the recorded client, and of its own accord after it."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        flat = list(flattened(entries))
        session = steps_of(flat)
        owners = {id(reply): step for step in session.steps for reply in step.replies}
        by_sent = {id(step.sent): step for step in session.steps}
        posts = {entry.exchange for entry in flat if entry.sender == "client"}
        self.scripts: dict[Step, list[Entry]] = {step: [] for step in session.steps}
        """What it sent, in order."""
        self.free: set[int] = set()
        """The ids of the entries that belong to no request: over HTTP they came on a GET stream."""
        self.answers: dict[int, Entry | None] = {}
        """The client's answers to questions of the server, by the ids of the entries of these."""
        last: Step | None = None
        for entry in flat:
            if entry.sender != "server":
                last = by_sent.get(id(entry), last)
                continue
            owner = owners.get(id(entry))
            if _is_free(entry, owner, posts):
                self.free.add(id(entry))
                owner = last
            if owner is not None:
                self.scripts[owner].append(entry)
            if entry.kind == "request":
                self.answers[id(entry)] = session.answers.get(id_key(entry.message["id"]))


def _is_free(entry: Entry, owner: Step | None, posts: set[int | None]) -> bool:
    if entry.kind not in ("request", "notification") or entry.message["method"] == "notifications/progress":
        return False
    if entry.exchange is not None:
        return entry.exchange not in posts
    return owner is None or not owner.is_request


class _Connection:
    """One client on a duplex connection."""

    def __init__(self, duplex: Duplex, conversation: Conversation) -> None:
        self._duplex = duplex
        self._conversation = conversation
        self._out, self._outgoing = trio.open_memory_channel[bytes](TO_CLIENT)
        self._running = trio.Semaphore(MOST_RUNNING)

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                async with self._out, trio.open_nursery() as replies:
                    await self._read(replies)
                    self._conversation.end()
        finally:
            with trio.move_on_after(1, shield=True):
                await self._duplex.aclose()

    async def _read(self, replies: trio.Nursery) -> None:
        try:
            while frames := await self._duplex.receive():
                for frame in frames:
                    if isinstance(frame, Oversized) or frame.strip():
                        await self._take(frame, replies)
        except ConnectionEnded:
            return

    async def _take(self, frame: bytes | Oversized, replies: trio.Nursery) -> None:
        if isinstance(frame, Oversized):
            await self._send(error(None, INVALID_REQUEST, f"the message is longer than {frame.limit} bytes"))
            return
        try:
            message = loads(frame)
        except InvalidJson as exc:
            await self._send(error(None, PARSE_ERROR, f"Parse error: {exc.reason}"))
            return
        for each in message if isinstance(message, list) else [message]:
            if self._conversation.take(each):
                await self._running.acquire()
                replies.start_soon(self._reply, each)

    async def _reply(self, message: dict[str, Any]) -> None:
        try:
            await self._conversation.reply(message, self._send, self._send)
        finally:
            self._running.release()

    async def _send(self, message: dict[str, Any]) -> None:
        await self._out.send(dumps(message))

    async def _write(self, scope: trio.CancelScope) -> None:
        """Write in a task that no cancel of a request reaches, since half a message cannot be taken back."""
        try:
            async for data in self._outgoing:
                await self._duplex.send_all(data + self._duplex.delimiter)
            await self._duplex.send_eof()
        except ConnectionEnded:
            scope.cancel()


class Conversation:
    """What one client of a `RecordedServer` has had, and is asked. Knows no transport."""

    def __init__(self, sessions: list[RecordedSession], timing: Timing, unrecorded: list[dict[str, Any]]) -> None:
        self._by_method: dict[str, list[Step]] = {}
        self._recorded: dict[Step, RecordedSession] = {}
        for session in sessions:
            for step in session.scripts:
                self._by_method.setdefault(step.method, []).append(step)
                self._recorded[step] = session
        self._timing: Timing = timing
        self._unrecorded = unrecorded
        self._used: set[Step] = set()
        self._ids = itertools.count(1)
        self._questions: dict[str, trio.Event] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._has_ended = False

    def take(self, message: Any) -> bool:
        """Take a message of the client; return whether `reply` is to be called with it. Never waits."""
        kind = kind_of(message)
        if kind in ("result", "error"):
            answered = self._questions.pop(id_key(message.get("id")), None)
            if answered is not None:
                answered.set()
        elif kind == "notification" and message["method"] == "notifications/cancelled":
            scope = self._scopes.get(id_key(params_of(message).get("requestId")))
            if scope is not None:
                scope.cancel()
        return kind in ("request", "notification")

    def end(self) -> None:
        """Note that the client sends no more: no question of the server will be answered."""
        self._has_ended = True
        for answered in self._questions.values():
            answered.set()

    async def reply(self, message: dict[str, Any], send: Send, post: Send) -> None:
        """Send what the recorded server sent for a request or a notification, until the client's next message.

        Args:
            message: of the client.
            send: takes what belongs to the request, its answer at last.
            post: takes what belongs to no request.
        """
        step = self._find(message)
        key = id_key(message.get("id"))
        if step is None:
            if "id" in message:
                await send(self._refusal(message))
            return
        with trio.CancelScope() as scope:
            if "id" in message:
                self._scopes[key] = scope
            try:
                await self._play(step, message, send, post)
            finally:
                if self._scopes.get(key) is scope:
                    del self._scopes[key]

    def _find(self, message: dict[str, Any]) -> Step | None:
        """Return the recorded step that a message takes: an unused one, or else the last."""
        method, params = message["method"], params_of(message)
        recorded = self._by_method.get(method, ())
        found = [step for step in recorded if same_params(step.params, params) and step.is_request == ("id" in message)]
        if not found and method in HANDSHAKE:
            found = [step for step in recorded if step.is_request == ("id" in message)]
        unused = next((step for step in found if step not in self._used), None)
        step = unused or (found[-1] if found else None)
        if step is not None:
            self._used.add(step)
        return step

    def _refusal(self, request: dict[str, Any]) -> dict[str, Any]:
        method = request["method"]
        if method not in HANDSHAKE and len(self._unrecorded) < MOST_UNRECORDED:
            self._unrecorded.append(request)
        recorded = len(self._by_method.get(method, ()))
        if not recorded:
            return error(request["id"], METHOD_NOT_FOUND, f"Method not found: the recording has no {method}")
        times = f"{method} {recorded} times" if recorded > 1 else f"one {method}"
        problem = f"Not recorded: the recording has {times}, but none with these params"
        return error(request["id"], INVALID_PARAMS, problem)

    async def _play(self, step: Step, message: dict[str, Any], send: Send, post: Send) -> None:
        session, before = self._recorded[step], step.sent.at
        script = session.scripts[step]
        for number, entry in enumerate(script):
            if self._timing == "as-recorded":
                await trio.sleep(max(0.0, entry.at - before))
            before = entry.at
            out = post if id(entry) in session.free else send
            if entry.kind != "request":
                known = self._for_client(entry.message, step, message)
                if known is not None:
                    await out(known)
                continue
            answered = trio.Event()
            own = next(self._ids)
            self._questions[id_key(own)] = answered
            await out({**entry.message, "id": own})
            after = script[number + 1].at if number + 1 < len(script) else None
            answer = session.answers[id(entry)]
            if answer is not None and (after is None or answer.at <= after):
                if self._has_ended:
                    return
                await answered.wait()
                before = max(before, answer.at)

    def _for_client(self, recorded: dict[str, Any], step: Step, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return a recorded message with the ids of this client; None where it does not want it."""
        found = dict(recorded)
        if "method" not in found:
            found["id"] = message.get("id")
        params = found.get("params")
        if isinstance(params, dict):
            if "progressToken" in params:
                token = token_of(message)
                if token is None:
                    return None
                params = {**params, "progressToken": token}
            if step.is_request and params.get("requestId") == step.message["id"]:
                params = {**params, "requestId": message["id"]}
            found["params"] = self._with_subscription(params, message)
        result = found.get("result")
        if isinstance(result, dict):
            found["result"] = self._with_subscription(result, message)
        return found

    def _with_subscription(self, value: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
        meta = value.get("_meta")
        if isinstance(meta, dict) and SUBSCRIPTION_ID in meta and "id" in message:
            return {**value, "_meta": {**meta, SUBSCRIPTION_ID: message["id"]}}
        return value


def error(id: Any, code: int, text: str) -> dict[str, Any]:
    """Return a response with an error."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}
