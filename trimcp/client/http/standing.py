"""The standing stream of a legacy session over HTTP: what a server says that belongs to no request.

It is opened by GET, resumed where it broke, and opened again where it ended, as long as the session
lasts. A server that offers none says so, and is not asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trimcp.client.http.backoff import Backoff
from trimcp.errors import ExchangeFailed
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import EventParser
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.client.http.session import RemoteSession


class StandingListener:
    """Reads the standing stream of one session, in a task of its own."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session
        self._parser = EventParser(session.limits.message_bytes)
        self.decided = trio.Event()
        """Set when the server has said whether there is one."""
        self.is_open = False
        """Whether there is a stream now."""

    async def run(self) -> None:
        """Listen for as long as it is worth it."""
        session, backoff = self._session, Backoff()
        generation = session.generation
        while generation == session.generation:
            try:
                if not await self._listen_once(backoff):
                    break
            except ExchangeFailed as exc:
                log.debug(events.STREAM_LOST, session=session.number, why=str(exc))
            self.is_open = False
            retry = self._parser.retry
            pause = backoff.next_pause(None if retry is None else retry / 1000)
            if pause is None:
                log.warning(events.STREAM_LOST, session=session.number, why="it ended again and again", deaf=True)
                break
            await trio.sleep(pause)
        self.is_open = False
        self.decided.set()

    async def _listen_once(self, backoff: Backoff) -> bool:
        """Read one stream to its end; False where there is none to be had."""
        session, parser = self._session, self._parser
        async with session.remote.request("GET", session.listening_fields(parser.last_event_id)) as reply:
            if reply.status != 200 or reply.media_type != "text/event-stream":
                self.decided.set()
                if parser.last_event_id and reply.status == 400:
                    self._parser = EventParser(session.limits.message_bytes)  # it cannot be resumed: begin anew
                    session.missed_something()
                    return True
                # 405 says that there is none. Others have said so by other numbers.
                return reply.status >= 500
            self.is_open = True
            self.decided.set()
            while (piece := await reply.next_piece()) is not None:
                for event in parser.feed(piece):
                    if isinstance(event, Oversized):
                        log.warning(events.MESSAGE_REFUSED, why=f"an event is longer than {event.limit} bytes")
                    elif event.data and event.event == b"message":
                        backoff.succeeded()
                        session.take_text(event.data)
            parser.end()
        return True
