"""The transports that servers were found to speak, so that later clients need not probe again.

The era is a property of the server (basic/versioning of 2026-07-28, "Backward Compatibility"). It is remembered in this
process, for a while, for a number of URLs. Where it turns out wrong it is forgotten, and the server is probed again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal
from urllib.parse import urlsplit

MAX_URLS: Final = 256
"""URLs that are remembered; the first that was learned makes room."""
LIFETIME: Final = 300.0
"""Seconds for which a transport is remembered: servers are replaced by newer ones at the same URL."""

Transport = Literal["modern", "legacy", "sse"]
"""Stateless requests, sessions of streamable HTTP, or HTTP+SSE."""


class KnownServers:
    """Remembers the transports of servers by URL. For any thread."""

    def __init__(
        self, *, most: int = MAX_URLS, good_for: float = LIFETIME, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            most: URLs that are remembered.
            good_for: seconds for which one is.
            clock: returns seconds, the same for all threads.
        """
        self._most = most
        self._good_for = good_for
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Transport, float]] = {}

    def of(self, url: str) -> Transport | None:
        """Return the transport that was found there; None if it is not known, or not any more."""
        found = self._known.get(_place(url))
        return None if found is None or self._clock() >= found[1] else found[0]

    def learn(self, url: str, transport: Transport) -> None:
        """Remember the transport that a client which offers all has found."""
        place = _place(url)
        with self._lock:
            self._known.pop(place, None)
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[place] = (transport, self._clock() + self._good_for)

    def forget(self, url: str) -> None:
        """Forget the transport of a URL, since it was wrong."""
        with self._lock:
            self._known.pop(_place(url), None)

    def clear(self) -> None:
        """Forget all URLs."""
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


KNOWN_SERVERS: Final = KnownServers()
"""The known servers of this process."""


def _place(url: str) -> str:
    """Return origin and path: the user in a URL, and its query, make no difference."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path}"
