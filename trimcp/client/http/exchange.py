"""One request of a client's over HTTP: its POST, and whatever comes back until its answer is there.

The answer is a JSON body or an event stream; on a legacy server's stream other messages may come
before it, and a stream that is lost can be resumed. Each runs in a task of its own, and what goes
wrong in it is the end of this call and of nothing else.

basic/transports of 2025-03-26 to 2025-11-25, basic/transports/streamable-http of 2026-07-28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.client.http.backoff import Backoff
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import ExchangeFailed
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import EventParser
from trimcp.observability import events, log
from trimcp.transports.http.remote import RemoteReply
from trimcp.types.jsonrpc import ErrorResponse, RequestId, Response

if TYPE_CHECKING:
    from trimcp.client.http.session import RemoteSession

LINGER: Final = 1.0
"""Seconds that a server has to end a stream behind the answer, so that its connection can be used again."""
SHOWN: Final = 200
"""Characters of a text that is no answer which an error shows."""


class Exchange:
    """A request on its way."""

    def __init__(self, session: RemoteSession, id: RequestId, method: str, frame: bytes) -> None:
        self._session = session
        self.id = id
        self.method = method
        self._frame = frame
        self.fields: dict[str, str] = {}
        """The header fields of its POST."""
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
            except ExchangeFailed as exc:
                calls.failed(self.id, exc)
                if self.method == "subscriptions/listen":
                    self._session.stream_lost()
            finally:
                self._session.exchange_over(self)
        if not self.scope.cancelled_caught:
            calls.failed(self.id, ExchangeFailed("the server ended its response without an answer"))

    def _is_answered(self) -> bool:
        return self._session.calls.waiting(self.id) is None

    async def _post(self) -> None:
        session = self._session
        for attempt in (1, 2):
            generation = session.generation
            async with session.remote.request("POST", {**session.fields(), **self.fields}, self._frame) as reply:
                if self.method == "initialize":
                    session.learn_id(reply.fields)
                if reply.status != 404 or attempt == 2 or not session.may_begin_again(self.method):
                    await self._read(reply)
                    return
            # The session is gone; what was asked in it was not taken, so it may be asked again.
            await session.begin_again(generation)

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
                if type(message) is Response and message.id != self.id and status == 200:
                    log.debug(events.RESPONSE_IGNORED, id=message.id, why="nobody asked for it here")
                    continue
                session.take(message, len(body))
        except (InvalidJson, InvalidMessage) as exc:
            raise self._no_answer(reply, body) from exc
        if not self._is_answered():
            raise self._no_answer(reply, body)

    def _no_answer(self, reply: RemoteReply, body: bytes) -> ExchangeFailed:
        kind = reply.media_type or "nothing"
        text = body.decode("utf-8", "replace").strip()
        said = f": {text[:SHOWN]!r}" if text and reply.media_type in ("text/plain", "application/json") else ""
        why = {
            401: "the server wants authentication",
            403: "the server refuses this client",
            404: "there is no MCP endpoint at this URL",
        }.get(reply.status, "the response is no answer of MCP's")
        return ExchangeFailed(f"{why} (status {reply.status}, {kind}{said})", reply.status, reply.retry_after)

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
                self._session.take_text(event.data)

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
        session, backoff = self._session, Backoff()
        while not self._is_answered():
            pause = backoff.next_pause(None if self._parser.retry is None else self._parser.retry / 1000)
            if pause is None:
                raise ExchangeFailed(
                    f"the response was lost, and {backoff.tries - 1} tries to resume it came to nothing"
                )
            await trio.sleep(pause)
            self._heard = False
            fields: dict[str, Any] = session.listening_fields(self._parser.last_event_id)
            try:
                async with session.remote.request("GET", fields) as reply:
                    if reply.status == 200 and reply.media_type == "text/event-stream":
                        await self._read_events(reply)
                    elif reply.status < 500:
                        raise ExchangeFailed(
                            f"the response was lost, and cannot be resumed (status {reply.status})", reply.status
                        )
            except ExchangeFailed as exc:
                if exc.status is not None:
                    raise
            if self._heard:
                backoff.succeeded()
