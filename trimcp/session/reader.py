"""The Reader: makes messages of the frames of a duplex connection, and hands each to the Dispatcher.

It is the one actor without a mailbox, since it receives from the connection. It runs in the task of the session's
supervisor. It waits for bytes, for a Router that is behind, and, on a server, for a peer that does not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import trio

from trimcp.actors.loop import current_clock
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.codec.unreadable import unreadable
from trimcp.framing.lines import Oversized, Unfinished
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.session.dispatcher import Dispatcher
from trimcp.session.reply_stream import ReplyStream
from trimcp.transports.duplex import Duplex, Frame
from trimcp.types.jsonrpc import INVALID_REQUEST, PARSE_ERROR, Message, Request

FRAMES_AT_ONCE: Final = 256
"""Frames taken before the Reader checks whether the peer reads: two bytes of garbage make a hundred of error,
so one read may bring more to answer than may wait to leave."""


class Reader:
    """Reads one duplex connection."""

    def __init__(self, duplex: Duplex, dispatcher: Dispatcher, reply_stream: ReplyStream, limits: Limits) -> None:
        """
        Args:
            duplex: the connection.
            dispatcher: takes the messages.
            reply_stream: where the answers to requests leave.
            limits: the bounds of one message.
        """
        self._duplex = duplex
        self._dispatcher = dispatcher
        self._reply_stream = reply_stream
        self._json_depth = limits.json_depth
        self._json_containers = limits.json_containers
        self._is_server = dispatcher.is_server
        self.read: int = 0
        """Frames so far."""

    async def run(self) -> None:
        """Read until the end of input.

        Raises:
            ConnectionEnded: the connection failed.
        """
        dispatcher, current_time = self._dispatcher, current_clock()
        while True:
            await dispatcher.wait_room()
            frames = await self._duplex.receive()
            if not frames:
                return
            now = current_time()
            self.read += len(frames)
            if len(frames) <= FRAMES_AT_ONCE:
                self._take(frames, now)
                continue
            for start in range(0, len(frames), FRAMES_AT_ONCE):
                await dispatcher.wait_routed()
                await dispatcher.wait_room()
                await trio.lowlevel.checkpoint()  # the others do not wait for blank lines and the like
                self._take(frames[start : start + FRAMES_AT_ONCE], now)

    def _take(self, frames: Sequence[Frame], now: float) -> None:
        """Hand on the messages of frames that were read together; requests that follow each other go together."""
        dispatcher, reply_stream = self._dispatcher, self._reply_stream
        depth, containers = self._json_depth, self._json_containers
        requests: list[tuple[Request, int]] = []
        together = 0  # bytes of the requests
        message: Message | list[Any] | InvalidMessage | None
        for frame in frames:
            if isinstance(frame, Oversized):
                message, size = self._oversized(frame), 0
            else:
                size = len(frame)
                try:
                    value = loads(frame, depth, containers)
                    message = value if type(value) is list else read_message(value)
                except InvalidMessage as exc:
                    message = exc
                except InvalidJson as exc:
                    message = self._not_json(frame, exc)
            if type(message) is Request:
                requests.append((message, size))
                together += size
                continue
            if requests:
                dispatcher.take_requests(requests, reply_stream, together, now)
                requests, together = [], 0
            if type(message) is list:
                dispatcher.take_batch(message, size, now)
            elif isinstance(message, InvalidMessage):
                dispatcher.take_invalid(message, reply_stream)
            elif message is not None:
                dispatcher.take(message, reply_stream, size, now)  # type: ignore[arg-type]  # `type` narrows no union
        if requests:
            dispatcher.take_requests(requests, reply_stream, together, now)

    def _oversized(self, frame: Oversized) -> InvalidMessage:
        """Return the refusal of a frame over the limit."""
        problem = f"A message must not be longer than {frame.limit} bytes"
        return unreadable(INVALID_REQUEST, problem, frame.head, by_client=not self._is_server, is_whole=False)

    def _not_json(self, frame: bytes, exc: InvalidJson) -> InvalidMessage | None:
        """Return the refusal of a frame that is no JSON; None for one that is no message."""
        if not frame.strip():
            return None  # a blank line
        problem = f"Parse error: {exc.reason}"
        invalid = unreadable(PARSE_ERROR, problem, frame, by_client=not self._is_server)
        if type(frame) is Unfinished and (invalid.kind == "response" or not self._is_server):
            # An answer that was cut is no invalid answer: its call fails as the connection does.
            log.debug(events.MESSAGE_IGNORED, why="the connection ended before the end of its line")
            return None
        return invalid
