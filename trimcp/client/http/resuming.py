"""Asking again for what a server was to tell, after a stream that it was told by has broken.

One task for each client over HTTP. Calls do not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.actors.doorbell import Doorbell
from trimcp.client.http.backoff import Backoff
from trimcp.errors import ConnectionLost, TrimcpError
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.negotiation import Agreement

CALM: Final = 60.0
"""Seconds without a loss after which earlier ones do not count."""


class Resumer:
    """Brings a client's listens back."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._bell = Doorbell()
        self._agreement: Agreement | None = None
        self._is_anew = False
        self._last_lost = trio.current_time()
        self.is_at_it = False
        """Whether it is asking for something now."""

    def lost(self) -> None:
        """A stream of notices has broken."""
        self._bell.ring()

    def forgotten(self, agreement: Agreement) -> None:
        """The server has forgotten what it was asked to tell, and this is what was agreed upon with it since."""
        self._agreement = agreement
        self._is_anew = True
        self._bell.ring()

    def gave_up(self, why: str) -> None:
        """There is nothing more to be had: those who wait for notices are told why. They may ask again."""
        self._client.gave_up(ConnectionLost(why), for_good=False)

    async def run(self) -> None:
        """Bring back what is lost, for as long as the client lasts."""
        backoff = Backoff()
        while True:
            await self._bell.wait()
            now = trio.current_time()
            if now - self._last_lost > CALM:
                backoff.succeeded()
            self._last_lost = now
            pause = backoff.next_pause()
            if pause is None:
                self.gave_up(f"the stream of the server's notices was lost {backoff.tries} times in a row")
                continue
            await trio.sleep(pause)
            await self._bring_back()

    async def _bring_back(self) -> None:
        is_anew, self._is_anew = self._is_anew, False
        agreement, self._agreement = self._agreement, None
        self.is_at_it = True
        try:
            await self._client.reconnected(agreement=agreement, anew=is_anew)
        except TrimcpError as exc:
            log.warning(events.STREAM_LOST, why=str(exc))
        finally:
            self.is_at_it = False
