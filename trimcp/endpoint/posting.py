"""One POST to the endpoint: which era it is of, who is meant, and whether its head agrees with its body.

The era is decided message by message. A `_meta` that names a revision, or a header that names a modern
one, makes a modern exchange; `initialize` opens a session; all else belongs to the session whose id it
shows. basic/transports of 2025-03-26 to 2025-11-25, basic/transports/streamable-http of 2026-07-28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.codec.envelope import InvalidMessage, encode_error, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.endpoint.accepts import Accepted, accepted, is_json
from trimcp.endpoint.exchanges import Exchanges
from trimcp.endpoint.http_session import HttpSession
from trimcp.endpoint.reply import JSON, UNAVAILABLE, Reply, fields_of
from trimcp.framing import headers
from trimcp.observability import events, log
from trimcp.protocol.lifecycle import Phase
from trimcp.session.batches import IN_A_BATCH, batch_refusal, is_initialize, is_owed
from trimcp.session.delivery import Delivery
from trimcp.session.refusals import another_time
from trimcp.transports.http.door import HttpRequest, HttpResponse
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import (
    BUSY,
    DRAINING,
    HEADER_MISMATCH,
    INVALID_REQUEST,
    PARSE_ERROR,
    TOO_MANY_SESSIONS,
    UNSUPPORTED_PROTOCOL_VERSION,
    Message,
    Notification,
    Request,
    RequestId,
)
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.endpoint.host import Host
    from trimcp.endpoint.sessions import HttpSessions
    from trimcp.session.outlet import Outlet

LISTEN: Final = "subscriptions/listen"
NO_SESSION: Final = "Mcp-Session-Id is missing: a session begins with initialize"
UNKNOWN_SESSION: Final = "Session not found: it has ended, or never was; begin another with initialize"


def refuse(
    response: HttpResponse, status: int, code: int, text: str, data: Any = ABSENT, id: RequestId | None = None
) -> None:
    """Answer a request for which no session answers."""
    response.respond(status, fields_of(status, JSON), encode_error(id, code, text, data, null_id=False))


class Posting:
    """Takes what is posted to one endpoint."""

    def __init__(self, host: Host, exchanges: Exchanges, sessions: HttpSessions) -> None:
        self._host = host
        self._exchanges = exchanges
        self._sessions = sessions
        self._limits = host.service.limits
        revisions = host.service.revisions
        self._modern = {r.version for r in revisions if r.era is Era.MODERN}
        self._modern_fields = {version.encode() for version in self._modern}
        self._offered_fields = {r.version.encode() for r in revisions}
        self._offered = [r.version for r in revisions]
        self._has_legacy = len(self._modern) < len(revisions)

    async def take(self, request: HttpRequest, response: HttpResponse) -> None:
        """Take one POST whose body is there."""
        takes = accepted(request.fields.get(b"accept"))
        if not (takes.json or takes.sse):
            text = "Not acceptable: a client must accept application/json and text/event-stream"
            refuse(response, 406, INVALID_REQUEST, text)
            return
        if not is_json(request.fields.get(b"content-type")):
            refuse(response, 415, INVALID_REQUEST, "Content-Type must be application/json")
            return
        try:
            value = loads(request.body, max_depth=self._limits.json_depth)
        except InvalidJson as exc:
            refuse(response, 400, PARSE_ERROR, f"Parse error: {exc.reason}")
            return
        if type(value) is list:
            await self._take_batch(value, request, response, takes)
            return
        try:
            message = read_message(value)
        except InvalidMessage as exc:
            await self._refuse_invalid(exc, request, response)
            return
        if self._is_modern(message, request):
            self._take_modern(message, request, response, takes)
        else:
            await self._take_legacy(message, request, response, takes)

    async def _refuse_invalid(self, exc: InvalidMessage, request: HttpRequest, response: HttpResponse) -> None:
        if exc.kind == "response" and headers.SESSION_ID in request.fields:
            session = await self.session_of(request, response)
            if session is None:
                return
            session.calls.invalid_response(exc.id, str(exc))
        # The id of an answer is that of a question of ours, which no error may be mistaken for an answer to.
        id = None if exc.kind == "response" else exc.id
        refuse(response, 400, exc.code, exc.message, {"path": exc.path}, id)

    # --- modern -----------------------------------------------------------------------

    def _is_modern(self, message: Message, request: HttpRequest) -> bool:
        if not self._modern:
            return False
        kind = type(message)
        if kind is Request or kind is Notification:
            params = message.params  # type: ignore[union-attr]  # `type` narrows no union
            meta = None if params is None else params.get("_meta")
            if type(meta) is dict and PROTOCOL_VERSION in meta:
                return True
        return not self._has_legacy or request.fields.get(headers.PROTOCOL_VERSION) in self._modern_fields

    def _take_modern(self, message: Message, request: HttpRequest, response: HttpResponse, takes: Accepted) -> None:
        if type(message) is not Request:
            if type(message) is Notification:
                # None is defined; a cancel is the end of the connection here.
                log.debug(events.MESSAGE_IGNORED, method=message.method, why="a modern client has none by HTTP")
                response.respond(202, ())
            else:
                refuse(response, 400, INVALID_REQUEST, "A client must not send answers in this revision")
            return
        problem = self._mismatch(message, request)
        if problem is not None:
            # To a legacy client that meets a modern server this message is all the help there is.
            data = {"supported": self._offered} if message.method == "initialize" else ABSENT
            refuse(response, 400, HEADER_MISMATCH, problem, data, message.id)
            return
        if message.method == LISTEN and not takes.sse:
            refuse(response, 406, INVALID_REQUEST, "What a listen is told comes as text/event-stream", id=message.id)
            return
        connection = request.connection
        caller = self._exchanges.caller(connection, request.principal)
        delivery = delivery_of(request)
        reply = self._exchanges.open(caller, response, delivery, json=takes.json, sse=takes.sse, peer=connection.peer)
        caller.ask(message, reply, len(request.body), trio.current_time())

    def _mismatch(self, message: Request, request: HttpRequest) -> str | None:
        """What of the head does not agree with the body, if anything."""
        params, fields = message.params, request.fields
        meta = None if params is None else params.get("_meta")
        version = meta.get(PROTOCOL_VERSION) if type(meta) is dict else None
        if type(version) is not str:
            version = None
        elif version not in self._modern and fields.get(headers.PROTOCOL_VERSION) == version.encode():
            return None  # a revision not spoken here, whose rules for headers nobody knows
        problem = headers.check_request_headers(fields, message.method, params, version, self._host.named_params)
        if problem is None and message.method == "tools/call" and params is not None:
            mirrored = self._host.header_params(params.get("name"))
            arguments = params.get("arguments")
            if mirrored is not None and (arguments is None or type(arguments) is dict):
                problem = mirrored.check(arguments, fields)
        return problem

    # --- legacy -----------------------------------------------------------------------

    async def _take_legacy(
        self, message: Message, request: HttpRequest, response: HttpResponse, takes: Accepted
    ) -> None:
        id = message.id if type(message) is Request else None
        if headers.SESSION_ID not in request.fields and type(message) is Request and message.method == "initialize":
            if self._speaks(request, response, id):
                await self._open(message, request, response, takes)
            return
        session = await self.session_of(request, response, id)
        if session is None:
            return
        now = trio.current_time()
        session.heard(1)
        if type(message) is not Request:
            session.dispatcher.take(message, session.outlet, len(request.body), now)
            response.respond(202, ())
        elif takes.sse:
            stream = session.open_stream(response, 1, delivery_of(request))
            session.dispatcher.take(message, stream, len(request.body), now)
            session.see_off(stream)
        else:
            reply = self._reply(session, response, takes, request)
            response.on_gone = lambda: session.reply_lost(reply)
            session.dispatcher.take(message, reply, len(request.body), now)

    def _reply(
        self, session: HttpSession, response: HttpResponse, takes: Accepted, request: HttpRequest, id: str | None = None
    ) -> Reply:
        """The outlet of a request that is answered as JSON, and cannot be resumed."""
        fields = () if id is None else ((headers.SESSION_ID, id.encode()),)
        reply = Reply(
            *(response, self._limits, session.stream_writer, _nobody, UNAVAILABLE),
            json=takes.json,
            sse=takes.sse,
            peer=request.connection.peer,
            fields=fields,
            delivery=delivery_of(request),
        )
        response.on_gone = reply.lost
        return reply

    def _speaks(self, request: HttpRequest, response: HttpResponse, id: RequestId | None) -> bool:
        """Whether the revision in the head is spoken here; if not, that is answered."""
        sent = request.fields.get(headers.PROTOCOL_VERSION)
        if sent is None or sent in self._offered_fields:
            return True
        requested = sent.decode("latin-1")[:64]
        data = {"supported": self._offered, "requested": requested}
        refuse(response, 400, UNSUPPORTED_PROTOCOL_VERSION, f"Unsupported protocol version {requested!r}", data, id)
        return False

    async def session_of(
        self, request: HttpRequest, response: HttpResponse, id: RequestId | None = None
    ) -> HttpSession | None:
        """The session that a request shows the id of; None where its sender has none, and that was answered."""
        if not self._speaks(request, response, id):
            return None
        shown = request.fields.get(headers.SESSION_ID)
        if shown is None:
            refuse(response, 400, INVALID_REQUEST, NO_SESSION, {"supported": self._offered}, id)
            return None
        session = await self._sessions.find(shown, request.principal)
        if session is None and id is not None and self._host.draining.is_set():
            self._refuse_draining(response, id)
            return None
        if session is None:
            refuse(response, 404, INVALID_REQUEST, UNKNOWN_SESSION, id=id)
            return None
        sent = request.fields.get(headers.PROTOCOL_VERSION)
        if sent is not None and session.revision is not None and sent != session.revision.version.encode():
            text = f"MCP-Protocol-Version must be {session.revision.version}, as this session agreed on"
            refuse(response, 400, INVALID_REQUEST, text, id=id)
            return None
        return session

    def _refuse_draining(self, response: HttpResponse, id: RequestId) -> None:
        data = another_time("draining")
        refuse(response, 503, DRAINING, "The server is stopping and takes no new work", data, id)

    async def _open(self, message: Request, request: HttpRequest, response: HttpResponse, takes: Accepted) -> None:
        """Open a session by the `initialize` that asks for one."""
        session = await self._sessions.open(request.connection.peer, request.principal)
        if session is None and self._host.draining.is_set():
            self._refuse_draining(response, message.id)
            return
        if session is None:
            data = another_time("too many sessions")
            refuse(response, 503, TOO_MANY_SESSIONS, "The server has as many sessions as it may", data, message.id)
            return
        reply = self._reply(session, response, takes, request, session.id)
        session.heard(1)
        session.dispatcher.take(message, reply, len(request.body), trio.current_time())
        if session.handshake.phase is Phase.OPENING:
            session.close()  # it was refused: nobody has use for the session
        else:
            self._sessions.save(session)

    # --- batches (2025-03-26) ---------------------------------------------------------

    async def _take_batch(
        self,
        values: list[Any],
        request: HttpRequest,
        response: HttpResponse,
        takes: Accepted,
    ) -> None:
        session = None
        if self._has_legacy and headers.SESSION_ID in request.fields:
            session = await self.session_of(request, response)
            if session is None:
                return
        refusal = batch_refusal(values, None if session is None else session.revision, self._limits)
        if refusal is not None or session is None:
            log.debug(events.BATCH_REFUSED, why=refusal)
            refuse(response, 400, INVALID_REQUEST, refusal or NO_SESSION)
            return
        owed = sum(map(is_owed, values))
        if owed and not takes.sse:
            refuse(response, 406, INVALID_REQUEST, "The answers to a batch come as text/event-stream")
            return
        if owed and session.batches >= self._limits.batches:
            data = another_time("busy")
            refuse(response, 503, BUSY, f"Busy: {session.batches} batches of this session are under way", data)
            return
        session.heard(len(values))
        stream = session.open_stream(response, owed, delivery_of(request), is_batch=True) if owed else None
        self._take_members(values, session, stream or session.outlet, len(request.body) // len(values))
        if stream is None:
            response.respond(202, ())
        else:
            session.see_off(stream)

    def _take_members(self, values: list[Any], session: HttpSession, outlet: Outlet, share: int) -> None:
        now = trio.current_time()
        asked: set[RequestId] = set()
        for value in values:
            try:
                if is_initialize(value):
                    raise InvalidMessage(INVALID_REQUEST, IN_A_BATCH, "$.method", _readable_id(value))
                message = read_message(value)
            except InvalidMessage as exc:
                if exc.kind == "response":
                    session.calls.invalid_response(exc.id, str(exc))
                elif is_owed(value):
                    outlet.answer(encode_error(exc.id, exc.code, exc.message, {"path": exc.path}, null_id=True))
                continue
            if type(message) is Request:
                if message.id in asked:
                    # A second answer with that id would be taken for one to the first.
                    log.warning(events.REQUEST_DUPLICATED, id=message.id, method=message.method)
                    outlet.withdraw()
                    continue
                asked.add(message.id)
            session.dispatcher.take(message, outlet, share, now)


def _readable_id(value: dict[str, Any]) -> RequestId | None:
    id = value.get("id")
    return id if type(id) in (int, str) else None


def delivery_of(request: HttpRequest) -> Delivery:
    """Who sent a request, and with which header fields, for those who serve it."""
    return Delivery(request.principal, request.fields)


def _nobody(reply: Reply) -> None:
    """Nobody keeps count of the replies of sessions."""
