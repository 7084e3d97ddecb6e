"""Bounds the memory that hypercorn's WebSocket streams take for messages that are too long."""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from wsproto.events import Message

from trimcp.http.asgi.response import Send


def restrain(send: Send) -> None:
    """Have hypercorn keep no more of a message than its limit; `send` is a method of its stream.

    It would inflate a message before it counts (`permessage-deflate` makes 1 GB of 1 MB), and go on collecting a
    message that is too long. ASGI has no word for either. A framework that gives an application that is mounted in it
    a `send` of its own hides the stream.
    """
    stream = getattr(send, "__self__", None)
    if isinstance(stream, WSStream):
        stream.handshake.extensions = None
        stream.buffer = BoundedBuffer(stream.buffer.max_length)


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
