"""The recovery of listens: it asks a server again for its notices, after a stream that brought them has broken.

One actor for each client over HTTP. Calls do not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.backoff import Backoff
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.errors import ConnectionEnded, ConnectionLost, TrimcpError
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.actors.actor import Owner
    from trimcp.session.negotiation import Agreement

CALM: Final = 60.0
"""Seconds without a loss after which earlier losses do not count."""


class NoticeSubscriber(Protocol):
    """The part of a client that asks the server for notices."""

    async def reconnected(self, *, agreement: Agreement | None, anew: bool) -> None:
        """Ask again for the notices that were lost.

        Args:
            agreement: of the session that there is now; None: the same as before.
            anew: whether the server has forgotten all that it was asked.
        """
        ...

    def gave_up(self, end: ConnectionEnded) -> None:
        """Tell the readers of notices that none will come."""
        ...


@attrs.frozen
class _Lost:
    """A stream that brought notices has broken."""


@attrs.frozen
class _Forgotten:
    """The server has forgotten which notices it was asked for; `agreement` was made with it since."""

    agreement: Agreement


_Message = _Lost | _Forgotten


class ListenRecovery(Actor[_Message]):
    """The actor that asks for lost notices again, after a pause that grows."""

    name = "listen recovery"

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner, Mailbox(2, Overflow.REPLACE, key=lambda message: type(message).__name__))
        self._subscriber: NoticeSubscriber | None = None
        self._backoff = Backoff()
        self._last_lost = trio.current_time()
        self._agreement: Agreement | None = None
        self.is_asking: bool = False
        """Whether it asks the server for something now. For others to read."""

    # --- in front ---------------------------------------------------------------------

    def serve(self, subscriber: NoticeSubscriber) -> None:
        """Bring back the notices of a client from now on; losses before do not matter."""
        self._subscriber = subscriber

    def lost(self) -> None:
        """Ask again for the notices of a stream that has broken."""
        if self._subscriber is not None:
            self.tell(_Lost())

    def forgotten(self, agreement: Agreement) -> None:
        """Ask for all notices again, since the server has forgotten them. `agreement`: made with it since."""
        if self._subscriber is not None:
            self.tell(_Forgotten(agreement))

    def give_up(self, why: str) -> None:
        """Tell the readers of notices that no more will come. They may ask again."""
        if self._subscriber is not None:
            self._subscriber.gave_up(ConnectionLost(why))

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Bring lost notices back, for as long as the session lasts."""
        while True:
            self.handle(await self.mailbox.receive())
            pause = self._next_pause()
            if pause is None:
                self.give_up(f"the stream of the server's notices was lost {self._backoff.tries} times in a row")
                continue
            await trio.sleep(pause)
            while self.mailbox.waiting:  # losses in the meantime are brought back together
                self.handle(self.mailbox.receive_nowait())
            await self._bring_back()

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        if isinstance(message, _Forgotten):
            self._agreement = message.agreement

    def _next_pause(self) -> float | None:
        now = trio.current_time()
        if now - self._last_lost > CALM:
            self._backoff.succeeded()
        self._last_lost = now
        return self._backoff.next_pause()

    async def _bring_back(self) -> None:
        agreement, self._agreement = self._agreement, None
        self.is_asking = True
        try:
            assert self._subscriber is not None
            await self._subscriber.reconnected(agreement=agreement, anew=agreement is not None)
        except TrimcpError as exc:
            log.warning(events.STREAM_LOST, why=str(exc))
        finally:
            self.is_asking = False
