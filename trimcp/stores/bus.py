"""The bus: short messages between nodes. It loses messages, and says so.

A message that matters is also in a store. The bus only spares the nodes from asking the store all the time.
"""

from __future__ import annotations

import abc
from contextlib import AbstractAsyncContextManager
from typing import Final

import attrs
import trio

CAPACITY: Final = 1024
"""Messages that a receiver of a bus may be behind."""


@attrs.frozen
class Gap:
    """Messages may have been lost: the receiver reads what it needs from the stores again."""


class Bus(abc.ABC):
    """Carries messages between nodes, within some milliseconds, at most once each."""

    @abc.abstractmethod
    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        """Send a message to all other nodes, or to the node with one incarnation.

        It may be lost. It may raise any exception where the bus is known to be down.
        """

    async def settle(self) -> None:
        """Wait until each message that was published here is ahead of all messages that any node publishes later.

        Does nothing by default, for a bus of which this holds when `publish` returns.
        """
        await trio.lowlevel.checkpoint()

    @abc.abstractmethod
    def subscribe(self, incarnation: int) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[bytes | Gap]]:
        """Receive the messages to all nodes and to this one, in the order of each sender.

        The channel is bounded. Where messages are lost, since it is full or the connection was lost, one `Gap` comes
        in their place. A node may receive its own messages to all.
        """


class BusChannel:
    """The bounded channel of one subscriber, for implementations: messages that have no room become one gap."""

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
