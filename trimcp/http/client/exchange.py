"""The exchanges of a client over HTTP: a POST for each call, and the messages up to its answer.

The answer is a JSON body or an event of a stream. On the stream of a legacy server other messages may come before it,
and a stream that is lost can be resumed. Each exchange runs in a task of its own, and its failure ends its call alone.

(basic/transports of 2025-03-26 to 2025-11-25, basic/transports/streamable-http of 2026-07-28)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.actors.backoff import Backoff
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import ExchangeFailed, UsageError
from trimcp.framing.sse import EventParser
from trimcp.http.client.http_client import may_pass
from trimcp.http.client.incoming import IncomingMessages
from trimcp.http.client.listen_recovery import ListenRecovery
from trimcp.http.client.request_headers import SESSION_ID, RequestHeaders
from trimcp.http.client.session_recovery import FORGOTTEN, SessionRecovery
from trimcp.http.urls import shown_redirect
from trimcp.observability import events, log
from trimcp.session.negotiation import speaks_of_era
from trimcp.types.jsonrpc import METHOD_NOT_FOUND, ErrorResponse, RequestId, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.http.client.http_client import HttpClient, HttpClientResponse
    from trimcp.session.session import Session

STREAM_END_TIMEOUT: Final = 1.0
"""Seconds that a server has to end a stream behind the answer, so that its connection can be used again."""
UNREACHED: Final = 12.0
"""Seconds without any response to the tries to resume a stream; then the server is taken for dead."""
UNREACHED_PAUSE: Final = 3.0
"""Seconds between those tries, at most."""
REPEATABLE: Final = frozenset(
    [
        "ping",
        "server/discover",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
    ]
)
"""Requests that change nothing more if the server gets them twice."""
STATUS_MEANINGS: Final = {
    202: "the server took the request, and does not answer it",
    401: "the server wants authentication",
    403: "the server refuses this client",
    404: "there is no MCP endpoint at this URL",
    405: "the server takes no POST at this URL",
    413: "the request is too long for the server",
    429: "the server wants fewer requests",
    500: "the server failed",
    502: "a gateway cannot reach the server",
    503: "the server, or a gateway to it, is overloaded",
    504: "a gateway to the server waits no longer for it",
}
"""The meaning of a status where the body is no MCP message."""
EXCERPT: Final = 200
"""Characters of such a body that an error shows."""


class OpenExchanges:
    """Starts and cancels the exchanges of one session, and holds those that are under way."""

    def __init__(
        self,
        session: Session,
        client: HttpClient,
        headers: RequestHeaders,
        incoming: IncomingMessages,
        recovery: SessionRecovery,
        listen_recovery: ListenRecovery,
    ) -> None:
        """
        Args:
            session: its calls are answered or failed; its supervisor runs the exchanges.
            client: makes the requests.
            headers: writes their header fields.
            incoming: takes the messages of the server.
            recovery: replaces a session that the server has forgotten.
            listen_recovery: is told of listens that have failed.
        """
        self.session: Session = session
        self.client: HttpClient = client
        self.headers: RequestHeaders = headers
        self.incoming: IncomingMessages = incoming
        self.recovery: SessionRecovery = recovery
        self._listen_recovery = listen_recovery
        self._under_way: dict[RequestId, Exchange] = {}
        self.answered_in: int = 0
        """The generation of the last session that has answered a request."""

    def start(self, id: RequestId, method: str, params: Mapping[str, Any] | None, frame: bytes) -> None:
        """Start the exchange of a request. `frame`: the request as JSON."""
        try:
            fields = self.headers.of_body(method, params)
        except UsageError as exc:  # a header field cannot carry an argument
            self.session.calls.failed(id, exc)
            return
        exchange = self._under_way[id] = Exchange(self, id, method, frame, fields)
        self.session.supervisor.nursery.start_soon(exchange.run, name=f"trimcp {method}")

    def cancel(self, id: RequestId) -> None:
        """Close the response to a request, if it is under way."""
        exchange = self._under_way.get(id)
        if exchange is not None:
            exchange.scope.cancel()

    def give_up_initialize(self) -> None:
        """Close the response to an `initialize` that timed out. The server is not told."""
        for exchange in self._under_way.values():
            if exchange.method == "initialize":
                exchange.scope.cancel()

    def ended(self, exchange: Exchange) -> None:
        """Forget an exchange that has ended."""
        self._under_way.pop(exchange.id, None)

    def listen_lost(self, *, was_open: bool) -> None:
        """Ask again for the notices of a failed listen. The caller of a listen that was never open gets the error."""
        if was_open or self._listen_recovery.is_asking:
            self._listen_recovery.lost()


class Exchange:
    """One request under way."""

    def __init__(self, owner: OpenExchanges, id: RequestId, method: str, frame: bytes, fields: dict[str, str]) -> None:
        """`fields`: header fields beside those that every POST has."""
        self._owner = owner
        self._session = owner.session
        self.id: RequestId = id
        self.method: str = method
        self._frame = frame
        self._fields = fields
        self.scope: trio.CancelScope = trio.CancelScope()
        """Cancelling it closes the response."""
        self._parser = EventParser(owner.session.limits.message_bytes)
        self._heard = False
        self._ended_with: int | None = None
        """The status of a stream that has ended, rather than broken."""

    async def run(self) -> None:
        """Post the request, and read until it is answered. Raises nothing but `Cancelled`."""
        calls = self._session.calls
        with self.scope:
            try:
                await self._post()
                if not self._is_answered():
                    await self._resume()
            except (ExchangeFailed, UsageError) as exc:
                calls.failed(self.id, exc)
                if self.method == "subscriptions/listen":
                    self._owner.listen_lost(was_open=self._heard)
            finally:
                self._owner.ended(self)

    def _is_answered(self) -> bool:
        return self._session.calls.waiting(self.id) is None

    async def _post(self) -> None:
        owner, session, method = self._owner, self._session, self.method
        recovery = owner.recovery
        for attempt in (1, 2):
            generation = await recovery.ready()
            fields = {**owner.headers.of_post(method), **self._fields}
            repeatable = method in REPEATABLE
            call = session.calls.waiting(self.id)
            async with owner.client.request("POST", fields, self._frame, repeatable=repeatable, deadline=call) as reply:
                if method == "initialize":
                    self._learn_session(reply)
                status = reply.status
                if status not in (400, 404) or SESSION_ID not in fields:
                    if 200 <= status < 300 and method != "initialize":
                        owner.answered_in = generation
                    await self._read(reply)
                    return
                body = await reply.body(session.limits.message_bytes)
                is_lost = not self._is_unknown_method(body)
                if status == 400:
                    # Some servers say so of a session that they have forgotten. A session that has not answered any
                    # request since it was opened in place of another is not replaced for it.
                    is_new = generation > owner.answered_in
                    is_lost = self._blames_session(body) and attempt == 1 and recovery.is_allowed and not is_new
                if not is_lost:
                    self._take_json(body, reply)
                    return
            if attempt == 2 or not recovery.is_allowed:
                raise ExchangeFailed(f"{FORGOTTEN} (status {status})", status)
            # The server refused the request together with the session, so it may be sent again.
            await recovery.recover(generation)

    def _learn_session(self, reply: HttpClientResponse) -> None:
        """Take the id that the server may give the session with its answer to `initialize`."""
        if reply.status == 200:
            self._owner.headers.session_id = reply.fields.get(SESSION_ID)
        else:
            self._owner.incoming.refusal = reply.status

    def _blames_session(self, body: bytes) -> bool:
        """Return whether a 400 may be about the session: its body is no error of JSON-RPC, or names the session."""
        try:
            message = read_message(loads(body, max_depth=self._session.limits.json_depth))
        except (InvalidJson, InvalidMessage):
            return True
        return type(message) is ErrorResponse and message.id is None and "session" in message.error.message.lower()

    def _is_unknown_method(self, body: bytes) -> bool:
        """Return whether a 404 is about the method, as in later revisions, and not about the session."""
        try:
            limits = self._session.limits
            message = read_message(loads(body, max_depth=limits.json_depth, max_containers=limits.json_containers))
        except (InvalidJson, InvalidMessage):
            return False
        return type(message) is ErrorResponse and message.error.code == METHOD_NOT_FOUND

    async def _read(self, reply: HttpClientResponse) -> None:
        if reply.status == 200 and reply.media_type == "text/event-stream":
            self._ended_with = reply.status
            await self._read_events(reply)
            return
        body = await reply.body(self._session.limits.message_bytes)
        self._take_json(body, reply)

    # --- JSON -------------------------------------------------------------------------

    def _take_json(self, body: bytes, reply: HttpClientResponse) -> None:
        """Take the body of a response that is no stream: an answer, an error, or other text."""
        session = self._session
        status = reply.status
        if self.method == "server/discover" and not speaks_of_era(status):
            raise self._no_answer(reply, body)  # an error of JSON-RPC with such a status says as little
        try:
            value = loads(body, max_depth=session.limits.json_depth, max_containers=session.limits.json_containers)
            messages = value if type(value) is list else [value]
            for one in messages:
                message = read_message(one)
                if type(message) is ErrorResponse and message.id != self.id and len(messages) == 1:
                    # It answers this POST, whatever id the server could read.
                    message = ErrorResponse(self.id, message.error)
                if type(message) is Response and message.id != self.id:
                    log.debug(events.RESPONSE_IGNORED, id=message.id, why="no request of this exchange has that id")
                    continue
                self._owner.incoming.take(message, len(body))
        except (InvalidJson, InvalidMessage) as exc:
            if isinstance(exc, InvalidMessage) and exc.kind == "response" and exc.id == self.id and status == 200:
                session.calls.invalid_response(exc.id, str(exc))
                return
            raise self._no_answer(reply, body) from exc
        if not self._is_answered():
            raise self._no_answer(reply, body)

    def _no_answer(self, reply: HttpClientResponse, body: bytes) -> ExchangeFailed:
        kind = reply.media_type or "nothing"
        text = body.decode("utf-8", "replace").strip()
        excerpt = f": {text[:EXCERPT]!r}" if text and reply.media_type in ("text/plain", "application/json") else ""
        why = STATUS_MEANINGS.get(reply.status, "the response is no MCP message")
        location = reply.fields.get("location", "")
        if 300 <= reply.status < 400 and location:
            why = f"the server redirects to {shown_redirect(self._owner.client.url, location)}, which is not followed"
        challenge = reply.fields.get("www-authenticate")
        return ExchangeFailed(
            f"{why} (status {reply.status}, {kind}{excerpt})", reply.status, reply.retry_after, challenge
        )

    # --- event streams ----------------------------------------------------------------

    async def _read_events(self, reply: HttpClientResponse) -> None:
        """Read until the stream ends, or a moment beyond the answer."""
        scope = trio.CancelScope()
        try:
            with scope:
                while (piece := await reply.next_piece()) is not None:
                    self._feed(piece)
                    if scope.deadline == float("inf") and self._is_answered():
                        scope.deadline = trio.current_time() + STREAM_END_TIMEOUT
        except ExchangeFailed:
            self._ended_with = None
            if not self._can_resume():
                raise
            log.debug(events.STREAM_LOST, request=self.id, method=self.method)
        self._parser.end()

    def _feed(self, piece: bytes) -> None:
        for event in self._parser.feed(piece):
            if self._owner.incoming.take_event(event, to=self.id):
                self._heard = True

    # --- a stream that was lost -------------------------------------------------------

    def _can_resume(self) -> bool:
        return bool(self._parser.last_event_id) and not self._owner.headers.is_modern

    async def _resume(self) -> None:
        """Resume the stream where it broke, as often as the backoff allows.

        Raises:
            ExchangeFailed: the rest of it is lost.
        """
        if not self._can_resume():
            raise ExchangeFailed("the server ended its response without an answer", self._ended_with)
        owner, session, backoff, parser = self._owner, self._session, Backoff(), self._parser
        why, retry_after, heard_at = "the server ended it", None, trio.current_time()
        is_unreached = False  # it may be dead: it is asked more often, and not for long
        while not self._is_answered():
            asked = None if parser.retry is None else parser.retry / 1000
            pause = backoff.next_pause(max((each for each in (asked, retry_after) if each is not None), default=None))
            if pause is None:
                tries = backoff.tries - 1
                raise ExchangeFailed(f"the response was lost, and {tries} tries to resume it failed: {why}")
            await trio.sleep(min(pause, UNREACHED_PAUSE) if is_unreached else pause)
            had, retry_after = parser.last_event_id, None
            generation, fields = owner.recovery.generation, owner.headers.of_get(had)
            try:
                call = session.calls.waiting(self.id)
                async with owner.client.request("GET", fields, repeatable=True, deadline=call) as reply:
                    heard_at, is_unreached = trio.current_time(), False
                    if reply.status == 200 and reply.media_type == "text/event-stream":
                        await self._read_events(reply)
                        why = "the server ended it"
                    elif may_pass(reply.status):
                        why, retry_after = f"status {reply.status}", reply.retry_after
                    else:
                        if reply.status == 404 and SESSION_ID in fields:
                            owner.recovery.recover_soon(generation)
                            why = f"{FORGOTTEN}, and the answer with it"
                        else:
                            why = "the response was lost, and cannot be resumed"
                        raise ExchangeFailed(f"{why} (status {reply.status})", reply.status)
            except ExchangeFailed as exc:
                if exc.status is not None or trio.current_time() - heard_at > UNREACHED:
                    raise
                why, is_unreached = str(exc), True
            if parser.last_event_id != had:  # the same events again are no progress
                backoff.succeeded()
