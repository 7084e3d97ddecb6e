"""HTTP requests of the revisions with sessions: POST, GET and DELETE, each matched to its session.

basic/transports of 2025-03-26 to 2025-11-25. `initialize` opens a session; every other request shows the id of one in
its `Mcp-Session-Id`.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from trimcp.actors.loop import current_clock
from trimcp.codec.envelope import InvalidMessage, encode_error, read_message
from trimcp.codec.jsontext import dumps
from trimcp.framing import headers
from trimcp.http.binding import HttpRequest, HttpResponse
from trimcp.http.server.content_negotiation import AcceptedTypes, accepted
from trimcp.http.server.event_ids import read_event_id
from trimcp.http.server.legacy_session import LegacySession
from trimcp.http.server.legacy_sessions import LegacySessions, NoRoom, Resumed
from trimcp.http.server.post_reply import (
    JSON,
    UNAVAILABLE,
    HeldReply,
    PostReply,
    delivery_of,
    respond_draining,
    respond_error,
)
from trimcp.http.server.served_run import ServedRun
from trimcp.observability import events, log
from trimcp.protocol.lifecycle import Phase
from trimcp.session.batches import IN_A_BATCH, batch_refusal, is_initialize, is_owed
from trimcp.session.refusals import retry_data
from trimcp.session.reply_stream import ReplyStream
from trimcp.types.jsonrpc import (
    BUSY,
    INVALID_REQUEST,
    TOO_MANY_SESSIONS,
    UNSUPPORTED_PROTOCOL_VERSION,
    Message,
    Request,
    RequestId,
)
from trimcp.types.revisions import Era

R = TypeVar("R", bound=PostReply)

NO_SESSION: Final = "Mcp-Session-Id is missing: a session begins with initialize"
SECOND_INITIALIZE: Final = "Second initialize in a session: leave Mcp-Session-Id out to begin another"
UNKNOWN_SESSION: Final = "Session not found: it has ended, or never was; begin another with initialize"


class LegacyRequests:
    """Handles the requests that open, use, resume and end the legacy sessions of one endpoint."""

    def __init__(self, served: ServedRun, sessions: LegacySessions) -> None:
        self._served = served
        self._sessions = sessions
        self._limits = served.service.limits
        self._read_clock = current_clock()
        revisions = served.service.revisions
        self._offered = [r.version for r in revisions]
        self._offered_fields: dict[bytes | None, str] = {version.encode(): version for version in self._offered}
        self._has_legacy = any(r.era is Era.LEGACY for r in revisions)

    # --- the session of a request -----------------------------------------------------

    def _speaks(self, request: HttpRequest, response: HttpResponse, id: RequestId | None) -> bool:
        """Return whether the revision in the head is spoken here, and answer the request if not."""
        sent = request.fields.get(headers.PROTOCOL_VERSION)
        if sent is None or sent in self._offered_fields:
            return True
        requested = sent.decode("latin-1")[:64]
        data = {"supported": self._offered, "requested": requested}
        text = f"Unsupported protocol version {requested!r}"
        respond_error(response, 400, UNSUPPORTED_PROTOCOL_VERSION, text, data, id)
        return False

    async def session_of(
        self, request: HttpRequest, response: HttpResponse, id: RequestId | None = None
    ) -> LegacySession | None:
        """Return the session that a request shows the id of.

        Returns None, and answers the request, if its sender has no such session.
        """
        sent = request.fields.get(headers.PROTOCOL_VERSION)
        if sent not in self._offered_fields and not self._speaks(request, response, id):
            return None
        shown = request.fields.get(headers.SESSION_ID)
        if shown is None:
            respond_error(response, 400, INVALID_REQUEST, NO_SESSION, {"supported": self._offered}, id)
            return None
        try:
            session = self._sessions.find_here(shown, request.principal) or await self._sessions.find(
                shown, request.principal, request.connection.peer
            )
        except NoRoom:
            self._respond_full(response, id)
            return None
        if session is None:
            if id is not None and self._served.draining.is_set():
                respond_draining(response, id)
            else:
                respond_error(response, 404, INVALID_REQUEST, UNKNOWN_SESSION, id=id)
            return None
        revision = session.revision
        if sent is not None and revision is not None and self._offered_fields[sent] != revision.version:
            text = f"Wrong MCP-Protocol-Version: send {revision.version}, which this session has agreed on"
            respond_error(response, 400, INVALID_REQUEST, text, id=id)
            return None
        return session

    # --- POST -------------------------------------------------------------------------

    async def post(
        self, message: Message, request: HttpRequest, response: HttpResponse, accepts: AcceptedTypes
    ) -> None:
        """Open a session by `initialize`, or hand a message to its session."""
        id = message.id if type(message) is Request else None
        if headers.SESSION_ID not in request.fields and type(message) is Request and message.method == "initialize":
            if self._speaks(request, response, id):
                await self._initialize(message, request, response, accepts)
            return
        session = await self.session_of(request, response, id)
        if session is None:
            return
        if type(message) is Request and message.method == "initialize":
            respond_error(response, 400, INVALID_REQUEST, SECOND_INITIALIZE, id=id)
            return
        now = self._read_clock()
        session.count_posted(1, now)
        if type(message) is not Request:
            state = session.record_state
            if not await self._sessions.forward(session, message, request.body):
                session.dispatcher.take(message, session.reply_stream, len(request.body), now)
            if session.record_state != state:
                await self._sessions.changed(session)
            response.respond(202, ())
        elif accepts.sse:
            stream = session.open_post_stream(response, (message.id,), delivery_of(request))
            session.dispatcher.take(message, stream, len(request.body), now)
            stream.begin_soon()
        else:
            reply = self._reply(session, response, accepts, request, kind=PostReply)
            response.on_gone = lambda: session.reply_lost(reply)
            session.dispatcher.take(message, reply, len(request.body), now)

    async def _initialize(
        self, message: Request, request: HttpRequest, response: HttpResponse, accepts: AcceptedTypes
    ) -> None:
        """Open a session by the `initialize` that asks for one."""
        session = await self._sessions.open(request.connection.peer, request.principal)
        if session is None:
            self._respond_full(response, message.id)
            return
        reply = self._reply(session, response, accepts, request, session.id, kind=HeldReply)
        now = self._read_clock()
        session.count_posted(1, now)
        session.dispatcher.take(message, reply, len(request.body), now)
        if session.handshake.phase is Phase.OPENING:
            session.close()  # `initialize` was refused, so no client has the id
        else:
            await self._sessions.keep(session)
        reply.let_go()

    def _respond_full(self, response: HttpResponse, id: RequestId | None) -> None:
        """Answer a request whose session cannot be served here now."""
        if self._served.draining.is_set():
            respond_draining(response, id)
        else:
            data = retry_data("too many sessions")
            text = "Too many sessions: try again later"
            respond_error(response, 503, TOO_MANY_SESSIONS, text, data, id)

    def _reply(
        self,
        session: LegacySession,
        response: HttpResponse,
        accepts: AcceptedTypes,
        request: HttpRequest,
        id: str | None = None,
        *,
        kind: type[R],
    ) -> R:
        """Make the reply stream of a request that cannot be resumed; `id`: the session that it opens."""
        reply = kind(
            *(response, self._limits, session.stream_writer, UNAVAILABLE),
            json=accepts.json,
            sse=accepts.sse,
            peer=request.connection.peer,
            fields=() if id is None else ((headers.SESSION_ID, id.encode()),),
            delivery=delivery_of(request),
        )
        response.on_gone = reply.lost
        return reply

    # --- batches (2025-03-26) ---------------------------------------------------------

    async def post_batch(
        self, values: list[Any], request: HttpRequest, response: HttpResponse, accepts: AcceptedTypes
    ) -> None:
        """Hand the members of a batch to their session, and collect the answers on one stream."""
        session = None
        if self._has_legacy and headers.SESSION_ID in request.fields:
            session = await self.session_of(request, response)
            if session is None:
                return
        refusal = batch_refusal(values, None if session is None else session.revision, self._limits)
        if refusal is not None or session is None:
            log.debug(events.BATCH_REFUSED, why=refusal)
            respond_error(response, 400, INVALID_REQUEST, refusal or NO_SESSION)
            return
        owed = [_readable_id(value) for value in values if is_owed(value)]
        if owed and not accepts.sse:
            text = "Not acceptable: accept text/event-stream for a batch"
            respond_error(response, 406, INVALID_REQUEST, text)
            return
        if owed and session.batches >= self._limits.batches:
            text = f"Busy: {session.batches} batches of this session are not answered yet"
            respond_error(response, 503, BUSY, text, retry_data("busy"))
            return
        share = len(request.body) // len(values)
        if session.node is not None:
            values = await self._forward_members(values, session)
        session.count_posted(len(values), self._read_clock())
        stream = session.open_post_stream(response, owed, delivery_of(request), is_batch=True) if owed else None
        self._take_members(values, session, stream or session.reply_stream, share)
        if stream is None:
            response.respond(202, ())
        else:
            stream.begin_soon()

    async def _forward_members(self, values: list[Any], session: LegacySession) -> list[Any]:
        """Send the members that are for other nodes there, and return the rest."""
        rest: list[Any] = []
        for value in values:
            if not is_owed(value):
                try:
                    if await self._sessions.forward(session, read_message(value), dumps(value)):
                        continue
                except InvalidMessage:
                    pass  # `_take_members` deals with it
            rest.append(value)
        return rest

    def _take_members(self, values: list[Any], session: LegacySession, reply_stream: ReplyStream, share: int) -> None:
        """Hand each member to the session; `share`: the bytes that each is counted with."""
        now = self._read_clock()
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
                    reply_stream.answer(encode_error(exc.id, exc.code, exc.message, {"path": exc.path}, null_id=True))
                continue
            if type(message) is Request:
                if message.id in asked:
                    # A second answer with that id would be taken for an answer to the first.
                    log.warning(events.REQUEST_DUPLICATED, id=message.id, method=message.method)
                    reply_stream.withdraw()
                    continue
                asked.add(message.id)
            session.dispatcher.take(message, reply_stream, share, now)

    # --- GET and DELETE ---------------------------------------------------------------

    async def get(self, request: HttpRequest, response: HttpResponse) -> None:
        """Open a GET stream, or resume a stream that has lost its connection."""
        if not accepted(request.fields.get(b"accept")).sse:
            respond_error(response, 406, INVALID_REQUEST, "Not acceptable: accept text/event-stream for a stream")
            return
        session = await self.session_of(request, response)
        if session is None:
            return
        session.touch()
        last = request.fields.get(headers.LAST_EVENT_ID)
        if session.node is not None and self._served.draining.is_set():
            respond_draining(response, None)  # another node serves the session from now on
            return
        if not last:
            session.open_get_stream(response)
            return
        event = read_event_id(session.tags.all, last)
        resumed = Resumed.LOST if event is None else await self._sessions.resume(session, response, *event)
        if resumed is Resumed.YES:
            return
        if session.end is not None and session.node is None:
            respond_error(response, 404, INVALID_REQUEST, UNKNOWN_SESSION)
        elif session.end is not None:
            respond_draining(response, None)
        elif resumed is Resumed.ENDED:
            # Clients take 405 as final, and try again after 400 (the SDK for TypeScript).
            text = "Cannot resume: the request was cancelled, and the stream has ended without an answer"
            respond_error(response, 405, INVALID_REQUEST, text, fields=(*JSON, (b"allow", b"POST, DELETE")))
        else:
            text = "Cannot resume after this Last-Event-ID: send the request again"
            respond_error(response, 400, INVALID_REQUEST, text)

    async def delete(self, request: HttpRequest, response: HttpResponse) -> None:
        """End a session, which its client does not need any more."""
        session = await self.session_of(request, response)
        if session is not None:
            await self._sessions.end(session)
            response.respond(204, ())


def _readable_id(value: Any) -> RequestId | None:
    id = value.get("id") if type(value) is dict else None
    return id if type(id) in (int, str) else None
