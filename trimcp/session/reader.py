"""The Reader: the frames of a duplex connection to messages, and those to the intake.

It waits for two things: the next bytes, and, on a server, a peer that does not read what it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.codec.envelope import InvalidMessage, encode_error, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.framing.lines import Oversized
from trimcp.observability import events, log
from trimcp.session.batches import IN_A_BATCH, batch_refusal, is_initialize, is_owed
from trimcp.session.outlet import Batch, Outlet
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INVALID_REQUEST, PARSE_ERROR, RequestId

if TYPE_CHECKING:
    from trimcp.session.duplex_session import DuplexSession

STRETCH: Final = 256
"""Frames taken before the reader looks up whether the peer reads: two bytes of garbage make a
hundred of error, so one read may bring more to answer than may wait to leave."""


class Reader:
    """Reads one session. Its task is the session's own."""

    def __init__(self, session: DuplexSession) -> None:
        self._session = session
        self._depth = session.limits.json_depth
        self._is_server = session.service.role == "server"
        self._now = 0.0
        self._batches = 0
        self._violations = 0
        self.read = 0
        """Frames read so far."""

    async def run(self) -> None:
        """Read until the end of input.

        Raises:
            ConnectionEnded: the connection failed.
        """
        session = self._session
        duplex, writer = session.duplex, session.writer
        self._intake = session.intake.take  # there only once the session runs
        while True:
            if self._is_server and writer.is_over:
                # The peer does not read. It may be waiting for us to read, but a client reads always.
                await writer.wait_room()
            frames = await duplex.receive()
            if not frames:
                return
            self._now = trio.current_time()
            for start in range(0, len(frames), STRETCH):
                if start and self._is_server and writer.is_over:
                    await writer.wait_room()
                writer.cork()
                try:
                    for frame in frames[start : start + STRETCH]:
                        self.read += 1
                        self._take(frame)
                finally:
                    writer.uncork()

    def _take(self, frame: bytes | Oversized) -> None:
        if type(frame) is Oversized:
            self._violation(INVALID_REQUEST, f"A message must not be longer than {frame.limit} bytes")
            return
        try:
            value = loads(frame, max_depth=self._depth)  # type: ignore[arg-type]  # Oversized has left above
        except InvalidJson as exc:
            self._violation(PARSE_ERROR, f"Parse error: {exc.reason}")
            return
        size = len(frame)  # type: ignore[arg-type]  # as above
        if type(value) is list:
            self._take_batch(value, size)
        else:
            self._take_message(value, self._session.outlet, size)

    def _take_message(self, value: Any, outlet: Outlet, size: int) -> None:
        try:
            message = read_message(value)
        except InvalidMessage as exc:
            self._invalid(exc, outlet)
            return
        self._intake(message, outlet, size, self._now)

    # --- batches (2025-03-26) ---------------------------------------------------------

    def _take_batch(self, values: list[Any], size: int) -> None:
        session = self._session
        refusal = self._batch_refusal(values)
        if refusal is not None:
            log.debug(events.BATCH_REFUSED, why=refusal)
            self._violation(INVALID_REQUEST, refusal)
            return
        self._batches += 1
        batch = Batch(session.writer, session.limits.result_bytes, self._batch_over)
        share = size // len(values)
        for value in values:
            if is_owed(value):
                batch.expect()
            if is_initialize(value):
                batch.answer(self._error(value.get("id"), INVALID_REQUEST, IN_A_BATCH))
            else:
                self._take_message(value, batch, share)
        batch.withdraw()

    def _batch_over(self) -> None:
        self._batches -= 1

    def _batch_refusal(self, values: list[Any]) -> str | None:
        session = self._session
        refusal = batch_refusal(values, session.revision, session.limits)
        if refusal is None and self._batches >= session.limits.batches:
            refusal = f"Busy: {session.limits.batches} batches of this session are under way"
        return refusal

    # --- what is wrong with the peer's messages ---------------------------------------

    def _invalid(self, exc: InvalidMessage, outlet: Outlet) -> None:
        if exc.kind == "response":
            self._session.calls.invalid_response(exc.id, str(exc))
        elif exc.kind == "notification":
            log.warning(events.MESSAGE_IGNORED, why=str(exc))
        elif exc.id is not None and exc.id in self._session.router.inbound:
            # An answer by that id would settle the request in flight that has it.
            outlet.withdraw()
            self._violation(exc.code, exc.message, {"path": exc.path})
        elif exc.id is None and outlet is self._session.outlet:
            self._violation(exc.code, exc.message, {"path": exc.path})
        else:
            outlet.answer(self._error(exc.id, exc.code, exc.message, {"path": exc.path}))

    def _violation(self, code: int, message: str, data: Any = ABSENT) -> None:
        """Answer, on a server, something that has no id to answer to; a client only takes note."""
        self._violations += 1
        if log.is_worth_saying(self._violations):
            peer, count = self._session.description, self._violations
            log.warning(events.MESSAGE_REFUSED, peer=peer, code=code, why=message, count=count)
        if self._is_server:
            self._session.writer.post(self._error(None, code, message, data))

    def _error(self, request_id: Any, code: int, message: str, data: Any = ABSENT) -> bytes:
        readable: RequestId | None = request_id if type(request_id) in (int, str) else None
        return encode_error(readable, code, message, data, null_id=self._session.unreadable_id_is_null)
