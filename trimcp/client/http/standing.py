"""The standing stream of a legacy session over HTTP: what a server says that belongs to no request.

It is opened by GET, resumed where it broke, and opened again where it ended, as long as the session
lasts. A server that offers none says so, and is not asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.client.http.backoff import Backoff, may_pass
from trimcp.errors import ExchangeFailed
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import EventParser
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.client.http.session import RemoteSession
    from trimcp.transports.http.remote import RemoteReply

CALM: Final = 30.0
"""Seconds that a stream has to last for its end to be nothing unusual: proxies close what is quiet."""


class StandingListener:
    """Reads the standing stream of one session, in a task of its own."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session
        self._generation = session.reopening.generation
        self._parser = EventParser(session.limits.message_bytes)
        self._backoff = Backoff()
        self._was_open = False
        self._is_gone = False
        self._retry_after: float | None = None
        self._why = ""
        self.scope = trio.CancelScope()
        """Cancelling it ends the stream."""
        self.decided = trio.Event()
        """Set when the server has said whether there is one, or cannot be reached."""

    async def run(self) -> None:
        """Listen for as long as it is worth it."""
        with self.scope:
            while await self._listen_or_begin_again():
                pause = self._backoff.next_pause(self._asked())
                if pause is None:
                    why = f"the standing stream ended {self._backoff.tries} times in a row: {self._why}"
                    log.warning(events.STREAM_LOST, session=self._session.number, why=why, deaf=True)
                    if self._was_open:
                        self._session.deaf(why)
                    return
                await trio.sleep(pause)

    def _asked(self) -> float | None:
        """Seconds that the server wants to pass before it is asked again."""
        retry = None if self._parser.retry is None else self._parser.retry / 1000
        return max((each for each in (retry, self._retry_after) if each is not None), default=None)

    async def _listen_or_begin_again(self) -> bool:
        """One try; False where there is nothing to be had by another."""
        session = self._session
        self._retry_after = None
        try:
            if self._is_gone:
                await session.begin_again(self._generation)
                return False  # another listener has the stream of the session that there is now
            return await self._listen_once()
        except ExchangeFailed as exc:
            self._why = str(exc)
            log.debug(events.STREAM_LOST, session=session.number, why=self._why)
            return True
        finally:
            self.decided.set()

    async def _listen_once(self) -> bool:
        """Read one stream to its end; False where there is none to be had."""
        session, parser = self._session, self._parser
        began = trio.current_time()
        try:
            fields = session.listening_fields(parser.last_event_id)
            async with session.remote.request("GET", fields, repeatable=True) as reply:
                if reply.status != 200 or reply.media_type != "text/event-stream":
                    return self._refused(reply)
                if self._was_open and not parser.last_event_id:
                    session.stream_lost()  # what was said meanwhile is not said again
                self._was_open = True
                self.decided.set()
                self._why = "the server ended it"
                while (piece := await reply.next_piece()) is not None:
                    self._feed(piece)
            return True
        finally:
            parser.end()
            if trio.current_time() - began >= CALM:
                self._backoff.succeeded()

    def _feed(self, piece: bytes) -> None:
        for event in self._parser.feed(piece):
            if isinstance(event, Oversized):
                log.warning(events.MESSAGE_REFUSED, why=f"an event is longer than {event.limit} bytes")
            elif event.data and event.event == b"message":
                self._backoff.succeeded()
                self._session.take_text(event.data)

    def _refused(self, reply: RemoteReply) -> bool:
        """The server gives no stream; whether another try may end otherwise."""
        self._why, self._retry_after = f"the server refuses it (status {reply.status})", reply.retry_after
        if may_pass(reply.status):
            return True
        if self._parser.last_event_id and reply.status == 400:
            self._parser = EventParser(self._session.limits.message_bytes)  # it cannot be resumed: begin anew
            return True
        if not self._was_open:
            return False  # 405 says that there is none; others have said so by other numbers
        if reply.status == 404 and self._session.may_begin_again():
            self._is_gone = True
            self._backoff.succeeded()
            return True
        self._session.deaf(f"the standing stream ended, and {self._why}")
        return False
