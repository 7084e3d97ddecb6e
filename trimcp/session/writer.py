"""The Writer: sole owner of the way out of a duplex session.

What is posted in one turn leaves in one write. Nothing runs here while the peer takes what it is
given: a post writes at once, in the caller's turn. Only when the medium is full does the actor get
a task, which writes the rest and then waits for the next such time. Where more waits to leave than
`Limits.out_bytes`, a server stops reading and callers wait; where the peer takes nothing for
`Limits.write_timeout`, the session ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trimcp.actors.doorbell import Doorbell
from trimcp.errors import ConnectionEnded, ConnectionLost
from trimcp.observability import events, log
from trimcp.session.lane import Lane
from trimcp.session.limits import Limits
from trimcp.transports.duplex import Duplex

STEP: Final = 8192
"""What a slow peer must take within the write timeout for the connection to count as alive."""


class Writer(Lane):
    """Frames to bytes to the peer."""

    def __init__(
        self,
        duplex: Duplex,
        limits: Limits,
        nursery: trio.Nursery,
        on_failure: Callable[[ConnectionEnded], None],
    ) -> None:
        """`on_failure` is told, once, that nothing can be written any more."""
        super().__init__(limits, duplex.description)
        self._duplex = duplex
        self._nursery = nursery
        self._on_failure = on_failure
        self._delimiter = duplex.delimiter
        self._rest = b""  # of a write that the medium did not take whole
        self._in_flight = 0  # of the write that is under way
        self._bell = Doorbell()
        self._running = False
        self._blocked = False
        self.cut_short = False
        """Whether the medium failed while something was being written, which did not arrive."""

    def _piece(self) -> bytes:
        """Join what may leave now."""
        lane = self._lane
        if len(lane) == 1 and type(lane[0]) is bytes:
            self._lane_bytes = 0
            return lane.popleft() + self._delimiter  # type: ignore[operator]  # narrowed on the line above
        frames = self._take()
        if not frames:
            return b""
        frames.append(b"")
        return self._delimiter.join(frames)

    def _flush(self) -> None:
        """Write what the medium takes without waiting; leave the rest to the task."""
        if self._blocked:
            return
        while self._lane:
            data = self._piece()
            try:
                sent = self._duplex.try_send(data) if data else 0
            except ConnectionEnded:
                # The task will meet the same failure, and tell of it. Not here: whoever posts may be
                # a task that is about to wait for what the failure would wake.
                sent = 0
            if sent < len(data):
                self._rest = data[sent:]
                self._block()
                return

    def _block(self) -> None:
        if not self._running:
            self._nursery.start_soon(self._run, name="trimcp writer")
            self._running = True
        else:
            self._bell.ring()
        self._blocked = True

    async def _run(self) -> None:
        while True:
            if not await self._write_out():
                return
            self._blocked = False
            self._make_room()
            self._now_empty()
            await self._bell.wait()

    async def _write_out(self) -> bool:
        """Write until nothing waits; False when the peer takes no more."""
        timeout = self._limits.write_timeout
        try:
            while self._rest or self._lane:
                data, self._rest = self._rest or self._piece(), b""
                for start in range(0, len(data), STEP):
                    self._in_flight = len(data) - start
                    with trio.move_on_after(timeout) as scope:
                        await self._duplex.send_all(data[start : start + STEP])
                    if scope.cancelled_caught:
                        log.warning(events.WRITER_BLOCKED, peer=self._duplex.description, seconds=timeout)
                        raise ConnectionLost(f"the peer ({self._duplex.description}) read nothing for {timeout:g} s")
                self._in_flight = 0
                if self._room is not None and self._lane_bytes <= self._limits.out_bytes // 2:
                    self._make_room()
        except ConnectionEnded as exc:
            self._fail(exc)
            return False
        return True

    def _fail(self, exc: ConnectionEnded) -> None:
        if not self._closed:
            self.cut_short = True
            self.close()
            self._on_failure(exc)

    # --- bounds and the end -----------------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self._lane_bytes + len(self._rest) + self._in_flight

    def _has_left(self) -> bool:
        return not self._lane and not self._blocked

    def close(self) -> None:
        """Drop what waits, and take nothing more."""
        super().close()
        self._in_flight = 0
        self._rest = b""
