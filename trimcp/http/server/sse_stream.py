"""One numbered sequence of events of a legacy session, which may go on with another response."""

from __future__ import annotations

from typing import Final

import trio

from trimcp.http.binding import HttpResponse


class SseStream:
    """One numbered sequence of events, and the response that carries it now, if any."""

    __slots__ = ("detached_at", "has_begun", "number", "response", "sent")

    def __init__(self, number: int, response: HttpResponse) -> None:
        self.number: Final = number
        self.sent: int = 0
        """The number of the last event."""
        self.response: HttpResponse | None = response
        self.has_begun: bool = False
        """Whether the head of the response was written."""
        self.detached_at: float | None = None

    def attach(self, response: HttpResponse) -> None:
        """Go on with the response of a client that has come back, whose head was written."""
        self.response, self.has_begun = response, True

    def detach(self) -> HttpResponse | None:
        """Part from the response, which is gone or will end, and return it; the client may come back."""
        response = self.response
        self.detached_at = trio.current_time()
        self.has_begun = False
        if response is not None:
            self.end(response)
        return response

    def end(self, response: HttpResponse) -> None:
        """Part from the response, which carries the last event."""
        self.response = response.on_gone = response.on_clear = None
