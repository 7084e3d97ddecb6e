"""A session on a duplex connection: stdio, a socket, memory, a WebSocket.

The Reader runs in the task of the session, so an idle session is two tasks: that one, and the Router's.
"""

from __future__ import annotations

from typing import Any

from trimcp.actors.supervisor import Supervisor
from trimcp.session.admission import Admission
from trimcp.session.delivery import LOCAL, Delivery
from trimcp.session.reader import Reader
from trimcp.session.reply_stream import SessionReplyStream
from trimcp.session.session import Service, Session
from trimcp.session.writer import Writer
from trimcp.transports.duplex import Duplex
from trimcp.transports.tapped import TappedDuplex


class DuplexSession(Session):
    """Supervises one live peer on one duplex connection."""

    def __init__(
        self,
        duplex: Duplex,
        service: Service,
        admission: Admission | None = None,
        *,
        delivery: Delivery = LOCAL,
    ) -> None:
        """
        Args:
            duplex: the connection; the session closes it.
            service: what is served on it, and as which role.
            admission: the places shared with other sessions; its own, if there are none.
            delivery: who opened the connection, and by which HTTP request, if by any.
        """
        super().__init__(service, admission, delivery=delivery)
        tap = service.instruments.tap
        if tap is not None:
            duplex = TappedDuplex(duplex, tap.connection(), ours=service.role)
        self.duplex: Duplex = duplex
        self._reader: Reader | None = None
        """Reads the connection, from `run` on."""
        self._writer: Writer | None = None

    @property
    def description(self) -> str:
        """Where the connection leads, for logs and errors: `stdio`, `tcp 127.0.0.1:8000`, …"""
        return self.duplex.description

    def is_behind(self) -> bool:
        """See `Peer`."""
        writer = self._writer
        # The rule of `Outbox.is_over`: by two properties it would cost 1.3 % of a call, with 32 in flight.
        return writer is not None and writer.outbox.waiting_bytes > self.limits.out_bytes

    def room_made(self) -> None:
        """See `ConnectionOwner`."""
        if self.requests.waiting:
            self._admission.enlist(self.requests)
            self._admission.grant()

    def _open_streams(self, supervisor: Supervisor) -> tuple[Writer, SessionReplyStream]:
        writer = self._writer = supervisor.add(Writer(supervisor, self.duplex, self.limits, self))
        return writer, SessionReplyStream(writer, self.limits.result_bytes, self.requests)

    def _stop_order(self) -> tuple[Any, ...]:
        return (*super()._stop_order(), self._writer)

    async def _listen(self) -> None:
        self._reader = Reader(self.duplex, self.dispatcher, self.reply_stream, self.limits)
        await self._reader.run()

    async def _close_medium(self) -> None:
        await self.duplex.aclose()

    @property
    def _cut_short(self) -> bool:
        return self._writer is not None and self._writer.is_cut_short

    @property
    def _peer_may_read(self) -> bool:
        return self.duplex.half_closes

    @property
    def messages_read(self) -> int:
        """Frames read so far."""
        return 0 if self._reader is None else self._reader.read
