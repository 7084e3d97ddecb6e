"""The GET stream of a legacy session over HTTP: the messages of a server that belong to no request.

The actor opens it, resumes it where it broke, and opens it again where it ended, for as long as the session lasts. A
server that offers none is not asked again. Each try has a task of its own, which tells the actor how it ended.
"""

from __future__ import annotations

import math
from typing import Final

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.backoff import Backoff
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.errors import ExchangeFailed
from trimcp.framing.sse import EventParser
from trimcp.http.client.http_client import HttpClient, may_pass
from trimcp.http.client.incoming import IncomingMessages
from trimcp.http.client.listen_recovery import ListenRecovery
from trimcp.http.client.request_headers import RequestHeaders
from trimcp.http.client.session_recovery import SessionRecovery
from trimcp.observability import events, log
from trimcp.session.session import Session

CALM: Final = 30.0
"""Seconds after which the end of a stream counts as usual: proxies close streams that are quiet."""
OPEN_TIMEOUT: Final = 2.0
"""Seconds that the server has to open its stream before the tasks that wait for it go on."""
CAPACITY: Final = 16
"""Messages in the mailbox: one for each session that is opened, and two of each try."""


@attrs.frozen
class _Open:
    """There is a session, the first or a later one: open its stream. The reply is set when the server has decided."""

    decided: Reply[None]


@attrs.frozen
class _Opened:
    """The server has opened the stream that a try asked for."""

    by: _Try


@attrs.frozen(kw_only=True)
class _Ended:
    """A try is over."""

    by: _Try
    why: str = "the server ended it"
    lasted: float = 0.0
    """Seconds."""
    has_brought: bool = False
    """Whether a message came by it."""
    status: int | None = None
    """Of a response that is no stream."""
    retry_after: float | None = None
    """Seconds that the server wants to pass before it is asked again."""
    is_replaced: bool = False
    """Whether there is another session instead, which opens its stream itself."""


_Message = _Open | _Opened | _Ended


class GetStream(Actor[_Message]):
    """The actor that keeps the GET stream of one session open."""

    name = "GET stream"

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
            session: its supervisor owns the actor.
            client: makes the requests.
            headers: writes their header fields.
            incoming: takes the messages of the server.
            recovery: replaces a session that the server has forgotten.
            listen_recovery: is told of notices that were lost.
        """
        super().__init__(session.supervisor, Mailbox(CAPACITY))
        self._session = session
        self.client: HttpClient = client
        self.headers: RequestHeaders = headers
        self.incoming: IncomingMessages = incoming
        self.recovery: SessionRecovery = recovery
        self._listen_recovery = listen_recovery
        self._nursery: trio.Nursery | None = None
        self._decided: Reply[None] = Reply()
        self._try: _Try | None = None
        self._due = math.inf  # when the pause before the next try is over
        self._start_over()

    def _start_over(self) -> None:
        self._generation = 0  # of the session
        self._parser = EventParser(self._session.limits.message_bytes)
        self._backoff = Backoff()
        self._was_open = False
        self._is_forgotten = False  # the session: the next try is to have another one

    async def open(self) -> None:
        """Open the stream of the current session; wait until the server has decided, or for `OPEN_TIMEOUT`."""
        decided: Reply[None] = Reply()
        self.tell(_Open(decided))
        with trio.move_on_after(OPEN_TIMEOUT):
            await decided.wait()

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Take messages, and begin a try when one is due."""
        try:
            async with trio.open_nursery() as self._nursery:
                while True:
                    with trio.CancelScope(deadline=self._due) as pause:
                        self.handle(await self.mailbox.receive())
                    if pause.cancelled_caught:
                        self._begin()
        finally:
            self._nursery = None

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Open(decided):
                self._decided.set(None)
                self._decided = decided
                self._start_over()
                self._generation = self.recovery.generation
                self._begin()
            case _Opened(by) if by is self._try:
                self._decided.set(None)
                if self._was_open and not by.resumes:
                    self._listen_recovery.lost()  # messages in between are not sent again
                self._was_open = True
            case _Ended(by=by) if by is self._try:
                self._try = None
                self._decided.set(None)
                self._ended(message)

    def _begin(self) -> None:
        self._due = math.inf
        if self._try is not None:
            self._try.scope.cancel()
        if self._nursery is None:  # the session has ended
            self._decided.set(None)
            return
        self._try = _Try(self, self._session.number, self._parser)
        begin = self._try.replace if self._is_forgotten else self._try.read
        self._nursery.start_soon(begin, self._generation, name=f"{self.name}: a try")

    def _ended(self, end: _Ended) -> None:
        if end.has_brought or end.lasted >= CALM:
            self._backoff.succeeded()
        if end.is_replaced or (end.status is not None and not self._may_be_had(end, end.status)):
            return
        pause = self._backoff.next_pause(self._asked(end))
        if pause is not None:
            self._due = trio.current_time() + pause
            return
        why = f"the GET stream ended {self._backoff.tries} times in a row: {end.why}"
        log.warning(events.STREAM_LOST, session=self._session.number, why=why, deaf=True)
        if self._was_open:
            self._listen_recovery.give_up(why)

    def _asked(self, end: _Ended) -> float | None:
        """Return the seconds that the server wants to pass before it is asked again."""
        retry = None if self._parser.retry is None else self._parser.retry / 1000
        return max((each for each in (retry, end.retry_after) if each is not None), default=None)

    def _may_be_had(self, end: _Ended, status: int) -> bool:
        """Return whether another try may succeed after this refusal."""
        if may_pass(status):
            return True
        if self._parser.last_event_id and status in (400, 405):
            self._parser = EventParser(self._session.limits.message_bytes)  # it cannot be resumed: begin anew
            return True
        if not self._was_open:
            return False  # 405 says that there is none; some servers say so by other statuses
        if status == 404 and self.recovery.is_allowed:
            self._is_forgotten = True
            self._backoff.succeeded()
            return True
        self._listen_recovery.give_up(f"the GET stream ended, and {end.why}")
        return False


class _Try:
    """One try to open the stream, in a task of its own."""

    def __init__(self, stream: GetStream, session_number: int, parser: EventParser) -> None:
        self._stream = stream
        self._session_number = session_number
        self._parser = parser
        self._has_brought = False
        self.resumes: bool = bool(parser.last_event_id)
        """Whether the server is asked for the events after the last that arrived."""
        self.scope: trio.CancelScope = trio.CancelScope()
        """Cancelling it ends the try without a message to the actor."""

    async def read(self, generation: int) -> None:
        """Read the stream to its end. `generation`: of the session; the same until another `_Open`."""
        began = trio.current_time()
        with self.scope:
            try:
                end = await self._read()
            except ExchangeFailed as exc:
                log.debug(events.STREAM_LOST, session=self._session_number, why=str(exc))
                end = _Ended(by=self, why=str(exc))
            finally:
                self._parser.end()
            lasted = trio.current_time() - began
            self._stream.tell(attrs.evolve(end, lasted=lasted, has_brought=self._has_brought))

    async def _read(self) -> _Ended:
        fields = self._stream.headers.of_get(self._parser.last_event_id)
        async with self._stream.client.request("GET", fields, repeatable=True) as reply:
            if reply.status != 200 or reply.media_type != "text/event-stream":
                why = f"the server refuses it (status {reply.status})"
                return _Ended(by=self, why=why, status=reply.status, retry_after=reply.retry_after)
            self._stream.tell(_Opened(self))
            while (piece := await reply.next_piece()) is not None:
                self._feed(piece)
        return _Ended(by=self)

    def _feed(self, piece: bytes) -> None:
        for event in self._parser.feed(piece):
            if self._stream.incoming.take_event(event):
                self._has_brought = True

    async def replace(self, generation: int) -> None:
        """Replace the session that the server has forgotten."""
        with self.scope:
            try:
                await self._stream.recovery.recover(generation)
            except ExchangeFailed as exc:
                log.debug(events.STREAM_LOST, session=self._session_number, why=str(exc))
                self._stream.tell(_Ended(by=self, why=str(exc)))
            else:
                self._stream.tell(_Ended(by=self, is_replaced=True))
