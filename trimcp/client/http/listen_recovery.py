"""The recovery of listens: what a server was to tell is asked for again, after a stream that it was told by has broken.

One actor for each client over HTTP. Calls do not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.client.http.backoff import Backoff
from trimcp.errors import ConnectionLost, TrimcpError
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.actors.actor import Owner
    from trimcp.client.client import Client
    from trimcp.client.negotiation import Agreement

CALM: Final = 60.0
"""Seconds without a loss after which earlier ones do not count."""


@attrs.frozen
class _Lost:
    """A stream of notices has broken."""


@attrs.frozen
class _Forgotten:
    """The server has forgotten what it was asked to tell, and this is what was agreed upon with it since."""

    agreement: Agreement


_Message = _Lost | _Forgotten


class ListenRecovery(Actor[_Message]):
    """Brings the listens of a client back: after a pause, one time after the other."""

    name = "listen recovery"

    def __init__(self, owner: Owner, client: Client) -> None:
        super().__init__(owner, Mailbox(2, Overflow.REPLACE, key=lambda message: type(message).__name__))
        self._client = client
        self._backoff = Backoff()
        self._last_lost = trio.current_time()
        self._agreement: Agreement | None = None
        self.is_asking = False
        """Whether it asks the server for something now. For others to read."""

    # --- in front ---------------------------------------------------------------------

    def lost(self) -> None:
        """Bring back what was told by a stream that has broken."""
        self.tell(_Lost())

    def forgotten(self, agreement: Agreement) -> None:
        """Ask for all of it again, since the server has forgotten it. `agreement`: made with it since."""
        self.tell(_Forgotten(agreement))

    def give_up(self, why: str) -> None:
        """Tell those who wait for notices that there is nothing more to be had. They may ask again."""
        self._client.gave_up(ConnectionLost(why), for_good=False)

    # --- the task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Bring back what is lost, for as long as the client lasts."""
        while True:
            self.handle(await self.mailbox.receive())
            pause = self._next_pause()
            if pause is None:
                self.give_up(f"the stream of the server's notices was lost {self._backoff.tries} times in a row")
                continue
            await trio.sleep(pause)
            while self.mailbox.waiting:  # what was lost meanwhile is brought back with it
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
            await self._client.reconnected(agreement=agreement, anew=agreement is not None)
        except TrimcpError as exc:
            log.warning(events.STREAM_LOST, why=str(exc))
        finally:
            self.is_asking = False
