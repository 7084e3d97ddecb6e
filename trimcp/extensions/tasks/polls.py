"""The rate of requests about tasks, for each principal and each connection without one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

import trio

from trimcp.extensions.tasks.table import busy
from trimcp.protocol.principal import key_of
from trimcp.session.request import InboundRequest

MOST: Final = 4096
"""Senders that are remembered. Beyond it the one that asked least recently is forgotten, which only helps it."""
BURST: Final = 5
"""Seconds' worth of requests that pass at once."""


class PollMeter:
    """Counts the requests about tasks, and refuses those over the rate."""

    def __init__(self, rate: float) -> None:
        """`rate`: requests a second."""
        self._rate = rate
        self._most = rate * BURST
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """Sender to the requests that it may send at once, and the time at which that was so."""

    def count(self, request: InboundRequest, tasks: int = 1) -> None:
        """Count a request about one task or several, of which all but the first may be paid for later.

        Raises:
            RequestFailed: its sender has sent too many.
        """
        sender: Hashable = key_of(request.delivery.principal) or request.session.number
        now = trio.current_time()
        left, then = self._left.pop(sender, (self._most, now))
        left = min(self._most, left + (now - then) * self._rate)
        is_over = left < 1
        self._left[sender] = left if is_over else max(left - tasks, -self._most), now
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        if is_over:
            raise busy(f"more than {self._rate:g} requests a second about tasks")
