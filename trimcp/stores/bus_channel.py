"""The bounded channel behind `Bus.subscribe`: messages that have no room become one gap."""

from __future__ import annotations

from typing import Final

import trio

from trimcp.stores.bus import Gap

CAPACITY: Final = 1024
"""Messages that a receiver of a bus may be behind."""


class BusChannel:
    """Receives messages for one subscriber without a wait."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """`capacity`: the messages that may wait; the next one becomes a gap."""
        self._capacity = capacity
        self.receive: trio.MemoryReceiveChannel[bytes | Gap]
        self._send, self.receive = trio.open_memory_channel[bytes | Gap](capacity + 1)

    def put(self, message: bytes | Gap) -> None:
        """Give the subscriber a message, or the last free place a gap. Never waits."""
        waiting = self._send.statistics().current_buffer_used
        if waiting <= self._capacity:  # else the gap in the last place stands for this message too
            self._send.send_nowait(message if waiting < self._capacity else Gap())

    def close(self) -> None:
        """End the channel: the subscriber receives what waits, and then the end."""
        self._send.close()
