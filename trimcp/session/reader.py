"""The Reader: frames of a duplex connection to messages, and each message to the actor that owns it.

It is the one actor without a mailbox, since the connection is what it receives from. It runs in the task of
the session's supervisor. It waits for bytes, for a Router that is behind, and, on a server, for a peer that
does not read what it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.framing.lines import Oversized
from trimcp.types.jsonrpc import INVALID_REQUEST, PARSE_ERROR

if TYPE_CHECKING:
    from trimcp.session.duplex_session import DuplexSession

STRETCH: Final = 256
"""Frames taken before the Reader looks up whether the peer reads: two bytes of garbage make a hundred of error,
so one read may bring more to answer than may wait to leave."""


class Reader:
    """Reads one session."""

    name = "reader"

    def __init__(self, session: DuplexSession) -> None:
        self._session = session
        self._depth = session.limits.json_depth
        self._is_server = session.service.role == "server"
        self.read = 0
        """Frames so far."""

    async def run(self) -> None:
        """Read until the end of input.

        Raises:
            ConnectionEnded: the connection failed.
        """
        duplex = self._session.duplex
        while True:
            await self._wait_for_room()
            frames = await duplex.receive()
            if not frames:
                return
            now = trio.current_time()
            if len(frames) <= STRETCH:
                for frame in frames:
                    self._take(frame, now)
                continue
            for start in range(0, len(frames), STRETCH):
                await self._session.router.mailbox.wait_taken()
                await self._wait_for_room()
                for frame in frames[start : start + STRETCH]:
                    self._take(frame, now)

    async def _wait_for_room(self) -> None:
        session = self._session
        if session.router.mailbox.is_over:
            await session.router.mailbox.wait_room()
        if self._is_server and session.writer.is_over:
            # The peer does not read. It may be waiting for us to read, but a client reads always.
            await session.writer.wait_room()

    def _take(self, frame: bytes | Oversized, now: float) -> None:
        session = self._session
        self.read += 1
        try:
            if type(frame) is Oversized:
                problem = f"A message must not be longer than {frame.limit} bytes"
                raise InvalidMessage(INVALID_REQUEST, problem, "")
            try:
                value = loads(frame, max_depth=self._depth)  # type: ignore[arg-type]  # Oversized has left above
            except InvalidJson as exc:
                raise InvalidMessage(PARSE_ERROR, f"Parse error: {exc.reason}", "") from None
            size = len(frame)  # type: ignore[arg-type]  # as above
            if type(value) is list:
                session.router.batch(session.requests, value, size, now)
            else:
                session.dispatcher.take(read_message(value), session.outlet, size, now)
        except InvalidMessage as exc:
            if exc.kind == "response":
                session.calls.invalid_response(exc.id, str(exc))
            else:
                session.router.unreadable(session.requests, exc, session.outlet)
