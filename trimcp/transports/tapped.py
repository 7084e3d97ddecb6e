"""A `Duplex` whose messages a wire tap is told of."""

from __future__ import annotations

from collections.abc import Sequence

from trimcp.framing.lines import Oversized
from trimcp.observability.wire_tap import ConnectionTap, Sender
from trimcp.transports.duplex import Duplex, Frame


class TappedDuplex(Duplex):
    """Passes on to another duplex, and tells a tap what passes."""

    def __init__(self, inner: Duplex, tap: ConnectionTap, *, ours: Sender) -> None:
        """
        Args:
            inner: the connection.
            tap: is told of its messages, and of its end.
            ours: the role of this side.
        """
        self._inner = inner
        self._tap = tap
        self._ours: Sender = ours
        self._theirs: Sender = "client" if ours == "server" else "server"
        self.half_closes: bool = inner.half_closes
        self.delimiter: bytes = inner.delimiter

    async def receive(self) -> Sequence[Frame]:
        """See `Duplex`."""
        frames = await self._inner.receive()
        for frame in frames:
            if isinstance(frame, Oversized):
                self._tap.oversized(self._theirs, frame.limit)
            else:
                self._tap.frame_passed(self._theirs, frame)
        return frames

    def try_send(self, data: bytes) -> int:
        """See `Duplex`."""
        sent = self._inner.try_send(data)
        if sent:
            self._tap.passed(self._ours, bytes(data[:sent]))
        return sent

    async def send_all(self, data: bytes) -> None:
        """See `Duplex`."""
        self._tap.passed(self._ours, bytes(data))  # before it leaves, since the answer may come before we run again
        await self._inner.send_all(data)

    async def wait_writable(self) -> bool:
        """See `Duplex`."""
        return await self._inner.wait_writable()

    async def send_eof(self) -> None:
        """See `Duplex`."""
        await self._inner.send_eof()

    async def aclose(self) -> None:
        """See `Duplex`."""
        self._tap.ended()
        await self._inner.aclose()

    @property
    def description(self) -> str:
        """See `Duplex`."""
        return self._inner.description
