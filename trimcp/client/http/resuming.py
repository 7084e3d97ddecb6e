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

CALM: Final = 60.0
"""Seconds without a loss after which earlier ones do not count."""


class Resumer:
    """Brings a client's listens back."""

    def __init__(self) -> None:
        self._bell = Doorbell()
        self._anew = False

    def lost(self) -> None:
        """A stream of notices has broken."""
        self._bell.ring()

    def forgotten(self) -> None:
        """The server has forgotten what it was asked to tell."""
        self._anew = True
        self._bell.ring()

    async def run(self, client: Client) -> None:
        """Bring back what is lost, for as long as the client lasts."""
        backoff, last = Backoff(), trio.current_time()
        while True:
            await self._bell.wait()
            now = trio.current_time()
            if now - last > CALM:
                backoff.succeeded()
            last = now
            pause = backoff.next_pause()
            if pause is None:
                client.gave_up(ConnectionLost(f"the server's notices were lost {backoff.tries} times in a row"))
                return
            await trio.sleep(pause)
            anew, self._anew = self._anew, False
            try:
                await client.reconnected(anew=anew)
            except TrimcpError as exc:
                log.warning(events.STREAM_LOST, why=str(exc))
