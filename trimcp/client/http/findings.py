"""What was found out about servers, so that the next client at the same URL need not find it out again.

Which era a server speaks is a property of the server (basic/versioning of 2026-07-28, "Backward
Compatibility"). It is kept in this process, for a while, for so many URLs; a finding that turns out
wrong is forgotten, and the server asked from the beginning. `connecting` asks here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal
from urllib.parse import urlsplit

MOST: Final = 256
"""URLs that are remembered; the one that was learned longest ago makes room."""
GOOD_FOR: Final = 300.0
"""Seconds that a finding is trusted: servers are replaced by newer ones at the same place."""

Spoken = Literal["modern", "legacy", "sse"]
"""What a server was found to speak: requests that stand for themselves, sessions, or HTTP+SSE."""


class Findings:
    """Findings by URL."""

    def __init__(
        self, *, most: int = MOST, good_for: float = GOOD_FOR, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock`: seconds, the same for all threads."""
        self._most = most
        self._good_for = good_for
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Spoken, float]] = {}

    def of(self, url: str) -> Spoken | None:
        """What is spoken there; None where that is not known, or not any more."""
        found = self._known.get(_place(url))
        return None if found is None or self._clock() >= found[1] else found[0]

    def learn(self, url: str, spoken: Spoken) -> None:
        """This was spoken there just now, to somebody who asked for the newest."""
        place = _place(url)
        with self._lock:
            self._known.pop(place, None)
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[place] = (spoken, self._clock() + self._good_for)

    def forget(self, url: str) -> None:
        """That was wrong, or all is to be found out anew."""
        with self._lock:
            self._known.pop(_place(url), None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


FINDINGS: Final = Findings()
"""Those of this process."""


def _place(url: str) -> str:
    """Origin and path: who asks, and with which query, makes no difference."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path}"
