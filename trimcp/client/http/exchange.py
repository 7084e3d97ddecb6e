"""One request of a client's over HTTP: its POST, and whatever comes back until its answer is there.

The answer is a JSON body or an event stream; on a legacy server's stream other messages may come
before it, and a stream that is lost can be resumed. Each runs in a task of its own, and what goes
wrong in it is the end of this call and of nothing else.

basic/transports of 2025-03-26 to 2025-11-25, basic/transports/streamable-http of 2026-07-28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.client.http.backoff import Backoff, may_pass
from trimcp.client.http.session_recovery import FORGOTTEN
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import ExchangeFailed, UsageError
from trimcp.framing import headers
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import EventParser
from trimcp.observability import events, log
from trimcp.transports.http.remote import shown_redirect
from trimcp.types.jsonrpc import METHOD_NOT_FOUND, ErrorResponse, RequestId, Response

if TYPE_CHECKING:
    from trimcp.client.http.session import RemoteSession
    from trimcp.transports.http.remote import RemoteReply

SESSION_ID: Final = headers.SHOWN[headers.SESSION_ID]
LINGER: Final = 1.0
"""Seconds that a server has to end a stream behind the answer, so that its connection can be used again."""
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
"""Requests that change nothing more when the server gets them twice."""
SAID: Final = {
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
"""What a status says where the body is no answer."""
SHOWN: Final = 200
"""Characters of a text that is no answer which an error shows."""


class Exchange:
    """A request on its way."""

    def __init__(
        self, session: RemoteSession, id: RequestId, method: str, frame: bytes, fields: dict[str, str]
    ) -> None:
        """`fields`: what its head has to say beside what every head says."""
        self._session = session
        self.id = id
        self.method = method
        self._frame = frame
        self._fields = fields
        self.scope = trio.CancelScope()
        """Cancelling it closes the response."""
        self._parser = EventParser(session.limits.message_bytes)
        self._heard = False

    async def run(self) -> None:
        """Post it, and read until it is answered. Raises nothing but `Cancelled`."""
        calls = self._session.calls
        with self.scope:
            try:
                await self._post()
                if not self._is_answered():
                    await self._resume()
            except (ExchangeFailed, UsageError) as exc:
                calls.failed(self.id, exc)
                if self.method == "subscriptions/listen":
                    self._session.listen_lost(was_open=self._heard)
            finally:
                self._session.exchange_over(self)

    def _is_answered(self) -> bool:
        return self._session.calls.waiting(self.id) is None

    async def _post(self) -> None:
        session, method = self._session, self.method
        for attempt in (1, 2):
            generation = await session.ready()
            fields = {**session.fields(method), **self._fields}
            repeatable = method in REPEATABLE
            call = session.calls.waiting(self.id)
            async with session.remote.request(
                "POST", fields, self._frame, repeatable=repeatable, deadline=call
            ) as reply:
                if method == "initialize":
                    session.initialized(reply)
                if reply.status != 404 or SESSION_ID not in fields:
                    await self._read(reply)
                    return
                body = await reply.body(session.limits.message_bytes)
                if self._is_unknown_method(body):
                    self._take_json(body, reply)
                    return
            if attempt == 2 or not session.may_begin_again():
                raise ExchangeFailed(f"{FORGOTTEN} (status 404)", 404)
            # What was asked in the session that is gone was not taken, so it may be asked again.
            await session.begin_again(generation)

    def _is_unknown_method(self, body: bytes) -> bool:
        """Whether a 404 is about what was asked, as it is in later revisions, and not about the session."""
        try:
            message = read_message(loads(body, max_depth=self._session.limits.json_depth))
        except (InvalidJson, InvalidMessage):
            return False
        return type(message) is ErrorResponse and message.error.code == METHOD_NOT_FOUND

    async def _read(self, reply: RemoteReply) -> None:
        if reply.status == 200 and reply.media_type == "text/event-stream":
            await self._read_events(reply)
            return
        body = await reply.body(self._session.limits.message_bytes)
        self._take_json(body, reply)

    # --- JSON -------------------------------------------------------------------------

    def _take_json(self, body: bytes, reply: RemoteReply) -> None:
        """Take the body of a response that is no stream: an answer, an error, or something else altogether."""
        session = self._session
        status = reply.status
        try:
            value = loads(body, max_depth=session.limits.json_depth)
            messages = value if type(value) is list else [value]
            for one in messages:
                message = read_message(one)
                if type(message) is ErrorResponse and message.id != self.id and len(messages) == 1:
                    # The answer to this POST, whatever id it could read.
                    message = ErrorResponse(self.id, message.error)
                if type(message) is Response and message.id != self.id:
                    log.debug(events.RESPONSE_IGNORED, id=message.id, why="nobody asked for it here")
                    continue
                session.take(message, len(body))
        except (InvalidJson, InvalidMessage) as exc:
            if isinstance(exc, InvalidMessage) and exc.kind == "response" and exc.id == self.id and status == 200:
                session.calls.invalid_response(exc.id, str(exc))
                return
            raise self._no_answer(reply, body) from exc
        if not self._is_answered():
            raise self._no_answer(reply, body)

    def _no_answer(self, reply: RemoteReply, body: bytes) -> ExchangeFailed:
        kind = reply.media_type or "nothing"
        text = body.decode("utf-8", "replace").strip()
        said = f": {text[:SHOWN]!r}" if text and reply.media_type in ("text/plain", "application/json") else ""
        why = SAID.get(reply.status, "the response is no answer of MCP's")
        location = reply.fields.get("location", "")
        if 300 <= reply.status < 400 and location:
            why = f"the server redirects to {shown_redirect(self._session.remote.url, location)}, which is not followed"
        challenge = reply.fields.get("www-authenticate")
        return ExchangeFailed(
            f"{why} (status {reply.status}, {kind}{said})", reply.status, reply.retry_after, challenge
        )

    # --- event streams ----------------------------------------------------------------

    async def _read_events(self, reply: RemoteReply) -> None:
        """Read until the stream ends, or a moment beyond the answer."""
        scope = trio.CancelScope()
        try:
            with scope:
                while (piece := await reply.next_piece()) is not None:
                    self._feed(piece)
                    if scope.deadline == float("inf") and self._is_answered():
                        scope.deadline = trio.current_time() + LINGER
        except ExchangeFailed:
            if not self._can_resume():
                raise
            log.debug(events.STREAM_LOST, request=self.id, method=self.method)
        self._parser.end()

    def _feed(self, piece: bytes) -> None:
        for event in self._parser.feed(piece):
            if isinstance(event, Oversized):
                log.warning(events.MESSAGE_REFUSED, why=f"an event is longer than {event.limit} bytes")
            elif event.data and event.event == b"message":
                self._heard = True
                self._session.take_text(event.data, to=self.id)

    # --- a stream that was lost -------------------------------------------------------

    def _can_resume(self) -> bool:
        return bool(self._parser.last_event_id) and not self._session.is_modern

    async def _resume(self) -> None:
        """Come back for the rest, as often as it is worth it.

        Raises:
            ExchangeFailed: it cannot be had.
        """
        if not self._can_resume():
            raise ExchangeFailed("the server ended its response without an answer")
        session, backoff, parser = self._session, Backoff(), self._parser
        why, retry_after = "the server ended it", None
        while not self._is_answered():
            asked = None if parser.retry is None else parser.retry / 1000
            pause = backoff.next_pause(max((each for each in (asked, retry_after) if each is not None), default=None))
            if pause is None:
                tries = backoff.tries - 1
                raise ExchangeFailed(f"the response was lost, and {tries} tries to resume it came to nothing: {why}")
            await trio.sleep(pause)
            had, retry_after = parser.last_event_id, None
            generation, fields = session.recovery.generation, session.listening_fields(had)
            try:
                call = session.calls.waiting(self.id)
                async with session.remote.request("GET", fields, repeatable=True, deadline=call) as reply:
                    if reply.status == 200 and reply.media_type == "text/event-stream":
                        await self._read_events(reply)
                        why = "the server ended it"
                    elif may_pass(reply.status):
                        why, retry_after = f"status {reply.status}", reply.retry_after
                    else:
                        if reply.status == 404 and SESSION_ID in fields:
                            session.begin_again_soon(generation)
                            why = f"{FORGOTTEN}, and the answer with it"
                        else:
                            why = "the response was lost, and cannot be resumed"
                        raise ExchangeFailed(f"{why} (status {reply.status})", reply.status)
            except ExchangeFailed as exc:
                if exc.status is not None:
                    raise
                why = str(exc)
            if parser.last_event_id != had:  # what is sent again and again is no progress
                backoff.succeeded()
