"""Serves a recording over Streamable HTTP, in both eras: a `Handler` for the built-in server."""

from __future__ import annotations

import functools
import secrets
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
JSON: Final = ((b"content-type", b"application/json"),)
EVENTS: Final = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"))
NOT_FOUND: Final = Refusal(404, PLAIN, b"Not found.\n")
NO_STREAM: Final = Refusal(405, (*PLAIN, (b"allow", b"POST, DELETE")), b"Method not allowed.\n")
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
    """Answers POST and DELETE. There is no GET stream: what was recorded on one comes with the next answer."""

    body_limit: int = 32 * 2**20

    def __init__(self, recorded: RecordedServer, path: str, nursery: trio.Nursery, *, loopback: bool) -> None:
        self._recorded = recorded
        self._path = path
        self._nursery = nursery
        self._guard = RequestGuard(loopback=loopback)
        self._stateless = recorded.conversation()
        self._sessions: dict[str, Conversation] = {}

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        refusal = self._guard.refuse(request)
        if refusal is not None:
            return refusal
        if request.path != self._path:
            return NOT_FOUND
        return None if request.method in ("POST", "DELETE") else NO_STREAM

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        await trio.lowlevel.checkpoint()
        id = request.field("mcp-session-id")
        if request.method == "DELETE":
            conversation = self._sessions.pop(id or "", None)
            response.respond(404 if conversation is None else 200, PLAIN)
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
            self._sessions[id] = self._recorded.conversation()
            if len(self._sessions) > MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        conversation = self._stateless if id is None or is_modern(message) else self._sessions.get(id)
        if conversation is None:
            response.respond(404, PLAIN, b"No such session: send `initialize` again.\n")
            return
        conversation.take(message)
        if kind_of(message) == "request":
            self._nursery.start_soon(_Reply(response, fields).run, conversation, message)
        else:
            response.respond(202, PLAIN)


class _Reply:
    """Writes the messages of one request: the answer alone as JSON, and as an event stream with others before it."""

    def __init__(self, response: HttpResponse, fields: Fields) -> None:
        self._response = response
        self._fields = fields
        self._is_stream = False
        self._is_answered = False

    async def run(self, conversation: Conversation, message: dict[str, Any]) -> None:
        with trio.CancelScope() as scope:
            self._response.on_gone = scope.cancel
            await conversation.reply(message, self._send)
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
