"""Bounds what hypercorn takes: memory for a WebSocket message that is too long, time for many small frames."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import trio
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, Data
from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from wsproto.events import Message

from trimcp.http.asgi.response import Send

PIECE: Final = 8192
"""Bytes that hypercorn takes before other tasks run: they hold up to 1,365 frames, which cost some 20 ms."""

E = TypeVar("E")


def restrain(send: Send) -> None:
    """Have hypercorn keep no more of a message than its limit, and let others run between many frames.

    `send` is a method of its stream. hypercorn would inflate a message before it counts (`permessage-deflate` makes
    1 GB of 1 MB), and go on collecting a message that is too long. ASGI has no word for either. A framework that gives
    an application that is mounted in it a `send` of its own hides the stream.
    """
    stream = getattr(send, "__self__", None)
    if isinstance(stream, WSStream):
        stream.handshake.extensions = None
        stream.buffer = BoundedBuffer(stream.buffer.max_length)
        stream.handle = functools.partial(in_pieces, stream.handle)  # type: ignore[method-assign]


async def in_pieces(handle: Callable[[E], Awaitable[None]], event: E) -> None:
    """Hand over what was read at once in pieces: many small frames make hypercorn wait for nothing."""
    if not isinstance(event, Body | Data | RawData) or len(event.data) <= PIECE:
        await handle(event)
        return
    for start in range(0, len(event.data), PIECE):
        await handle(dataclasses.replace(event, data=event.data[start : start + PIECE]))
        await trio.lowlevel.checkpoint()


class BoundedBuffer(WebsocketBuffer):
    """Collects the pieces of a message, until one is too long: then hypercorn closes, and later pieces are dropped."""

    _is_over = False

    def extend(self, event: Message[Any]) -> None:
        """See `WebsocketBuffer`."""
        if self._is_over:
            # Not refused once more: hypercorn would leave what came with this piece to the next one.
            self.value = None
            super().extend(type(event)(data=event.data[:0]))
            return
        try:
            super().extend(event)
        except FrameTooLargeError:
            self._is_over = True
            self.value: Any = None
            self.length: int = 0
            raise
