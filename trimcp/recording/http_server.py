"""Serves a recording over Streamable HTTP, in both eras: a `Handler` for the built-in server."""

from __future__ import annotations

import functools
import secrets
from collections import deque
from typing import Any, Final

import trio

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.framing.sse import encode_event
from trimcp.http.binding import PLAIN, Fields, HttpRequest, HttpResponse, Refusal
from trimcp.http.h1.server import HttpServer
from trimcp.http.server.origins import is_loopback
from trimcp.http.server.security import RequestGuard
from trimcp.recording.connections import is_modern
from trimcp.recording.messages import kind_of
from trimcp.recording.server import Conversation, RecordedServer
from trimcp.transports.socket import host_and_port

MOST_SESSIONS: Final = 1000
"""Legacy sessions that are open; the oldest is forgotten."""
MOST_WAITING: Final = 1000
"""Messages of a session that wait for its GET stream, the newest."""
JSON: Final = ((b"content-type", b"application/json"),)
EVENTS: Final = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"))
NOT_FOUND: Final = Refusal(404, PLAIN, b"Not found.\n")
NO_STREAM: Final = Refusal(405, (*PLAIN, (b"allow", b"GET, POST, DELETE")), b"Method not allowed.\n")
UNKNOWN: Final = b"No such session: send `initialize` again.\n"
SESSION_ID: Final = b"mcp-session-id"


async def serve_http(
    recorded: RecordedServer,
    host: str,
    port: int,
    path: str = "/mcp",
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. The status is the URL.

    Raises:
        UsageError: the address cannot be listened on.
    """
    async with trio.open_nursery() as nursery:
        server = HttpServer(_Handler(recorded, path, nursery, loopback=is_loopback(host)), nursery)
        address = await nursery.start(functools.partial(server.serve_tcp, host=host, port=port))
        task_status.started(f"http://{host_and_port(*address)}{path}")


class _Handler:
    """Answers POST and DELETE, and GET for the stream of a legacy session."""

    body_limit: int = 32 * 2**20

    def __init__(self, recorded: RecordedServer, path: str, nursery: trio.Nursery, *, loopback: bool) -> None:
        self._recorded = recorded
        self._path = path
        self._nursery = nursery
        self._guard = RequestGuard(loopback=loopback)
        self._stateless = _Session(recorded.conversation())
        self._sessions: dict[str, _Session] = {}

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        refusal = self._guard.refuse(request)
        if refusal is not None:
            return refusal
        if request.path != self._path:
            return NOT_FOUND
        if request.method == "GET":
            return None if request.field("mcp-session-id") else NO_STREAM
        return None if request.method in ("POST", "DELETE") else NO_STREAM

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        await trio.lowlevel.checkpoint()
        id = request.field("mcp-session-id")
        if request.method == "GET":
            session = self._sessions.get(id or "")
            if session is None:
                response.respond(404, PLAIN, UNKNOWN)
            else:
                session.attach(response)
            return
        if request.method == "DELETE":
            response.respond(200 if self._end(id or "") else 404, PLAIN)
            return
        try:
            message: Any = loads(request.body)
        except InvalidJson as exc:
            response.respond(400, PLAIN, f"Parse error: {exc.reason}\n".encode())
            return
        if kind_of(message) == "other":
            response.respond(400, PLAIN, b"Not one message: send one message in each POST.\n")
            return
        fields: Fields = JSON
        if message.get("method") == "initialize":
            id = secrets.token_urlsafe(16)
            fields = (*JSON, (SESSION_ID, id.encode()))
            self._sessions[id] = _Session(self._recorded.conversation())
            if len(self._sessions) > MOST_SESSIONS:
                self._end(next(iter(self._sessions)))
        session = self._stateless if id is None or is_modern(message) else self._sessions.get(id)
        if session is None:
            response.respond(404, PLAIN, UNKNOWN)
            return
        session.conversation.take(message)
        if kind_of(message) == "request":
            self._nursery.start_soon(_Reply(response, fields).run, session, message)
            return
        response.respond(202, PLAIN)
        if kind_of(message) == "notification":
            self._nursery.start_soon(session.conversation.reply, message, session.post, session.post)

    def _end(self, id: str) -> bool:
        session = self._sessions.pop(id, None)
        if session is not None:
            session.detach()
        return session is not None


class _Session:
    """A conversation, and the GET stream of its client: what belongs to no request leaves there."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation: Conversation = conversation
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._stream: HttpResponse | None = None

    def attach(self, response: HttpResponse) -> None:
        """Open the stream; one that is open ends."""
        self.detach()
        self._stream = response
        response.on_gone = functools.partial(self._lost, response)
        response.on_clear = self._write
        response.begin(200, EVENTS)
        response.write(b": \n\n")  # the head leaves with it
        self._write()

    def detach(self) -> None:
        """End the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end()

    def _lost(self, response: HttpResponse) -> None:
        if self._stream is response:
            self._stream = None

    async def post(self, message: dict[str, Any]) -> None:
        """Send a message on the stream, when there is one and its client reads."""
        await trio.lowlevel.checkpoint()
        self._waiting.append(encode_event(dumps(message)))
        self._write()

    def _write(self) -> None:
        while self._waiting and self._stream is not None and not self._stream.is_clogged:
            self._stream.write(self._waiting.popleft())


class _Reply:
    """Writes the messages of one request: the answer alone as JSON, and as an event stream with others before it."""

    def __init__(self, response: HttpResponse, fields: Fields) -> None:
        self._response = response
        self._fields = fields
        self._is_stream = False
        self._is_answered = False

    async def run(self, session: _Session, message: dict[str, Any]) -> None:
        with trio.CancelScope() as scope:
            self._response.on_gone = scope.cancel
            await session.conversation.reply(message, self._send, session.post)
            if not self._is_answered:  # it was not answered when it was recorded: the client will let go of it
                await trio.sleep_forever()

    async def _send(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        self._is_answered = "method" not in message
        data = dumps(message)
        if self._is_answered and not self._is_stream:
            self._response.respond(200, self._fields, data)
            return
        if not self._is_stream:
            self._is_stream = True
            further = tuple(field for field in self._fields if field not in JSON)
            self._response.begin(200, (*EVENTS, *further))
        event = encode_event(data)
        if self._is_answered:
            self._response.finish(event)
        else:
            self._response.write(event)
