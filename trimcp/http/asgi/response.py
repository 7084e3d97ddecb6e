"""The response of one request that came through ASGI: holds written bytes until the application's task sends them.

The endpoint writes without waiting; one task, that of the application, calls `leave`. Header fields of the connection
are not written here, since the server beneath knows whether it speaks HTTP/1.1 or HTTP/2.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import trio

from trimcp.http.binding import Fields, HttpResponse

Message = MutableMapping[str, Any]
"""An event or a scope of ASGI."""
Receive = Callable[[], Awaitable[Message]]
"""Waits for the next event of a server."""
Send = Callable[[Message], Awaitable[None]]
"""Hands an event to a server."""

PIECE: Final = 65536
"""Bytes of one event at most, so that the deadline for a slow peer covers a piece and not a whole long body."""

BODILESS: Final = frozenset({204, 304})
"""Statuses of a response without a body."""


class AsgiResponse(HttpResponse):
    """The response to one request that came through ASGI."""

    __slots__ = (
        "_begun",
        "_changed",
        "_head",
        "_is_head",
        "_leaving",
        "_pieces",
        "cut",
        "has_ended",
        "has_left",
        "is_aborted",
        "is_last_leaving",
    )

    def __init__(self, *, is_head: bool = False) -> None:
        """`is_head`: whether the request is a HEAD, whose response has no body."""
        super().__init__()
        self._changed = trio.Event()
        self._is_head = is_head
        self._begun = False
        self._head: Message | None = None
        self._pieces: deque[bytes] = deque()
        self._leaving = False
        self.cut: Callable[[], None] | None = None
        """Ends a `leave` that waits for a peer that does not read."""
        self.has_ended: bool = False
        """Whether the whole response has been written."""
        self.is_last_leaving: bool = False
        """Whether the event that completes it is being sent."""
        self.has_left: bool = False
        """Whether the whole response has been sent."""
        self.is_aborted: bool = False
        """Whether it was broken off."""

    # --- HttpResponse -----------------------------------------------------------------

    @property
    def is_clogged(self) -> bool:
        """See `HttpResponse`."""
        return self._leaving or bool(self._pieces)

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        """See `HttpResponse`."""
        if self._begun or self._is_over:
            return
        headers = [*fields, *self.further]
        if status not in BODILESS:
            headers.append((b"content-length", b"%d" % len(body)))
        self._start(status, headers)
        if body and not self._is_head:
            self._pieces.append(body)
        self.has_ended = True
        self._changed.set()

    def begin(self, status: int, fields: Fields) -> None:
        """See `HttpResponse`."""
        if not self._begun and not self._is_over:
            self._start(status, [*fields, *self.further])
            self._changed.set()

    def write(self, data: bytes) -> None:
        """See `HttpResponse`."""
        if data and not self._is_head and self._begun and not self.has_ended and not self._is_over:
            self._pieces.append(data)
            self._changed.set()

    def end(self) -> None:
        """See `HttpResponse`."""
        if self._begun and not self._is_over:
            self.has_ended = True
            self._changed.set()

    def abort(self) -> None:
        """See `HttpResponse`."""
        if not self.has_left and not self._is_over:
            self.is_aborted = True
            self._drop()

    def gone(self) -> None:
        """See `HttpResponse`."""
        if not self._is_over:
            self._drop()
            super().gone()

    @property
    def _is_over(self) -> bool:
        return self.is_gone or self.is_aborted

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._begun = True
        self._head = {"type": "http.response.start", "status": status, "headers": headers}

    def _drop(self) -> None:
        self._pieces.clear()
        self._leaving = False
        self._changed.set()
        if self.cut is not None:
            self.cut()

    # --- for the task of the application ----------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the body that were written and are not sent yet."""
        return sum(map(len, self._pieces))

    async def leave(self, send: Send, patience: trio.CancelScope | None = None, seconds: float = math.inf) -> None:
        """Send the response as it is written, until it has ended, was broken off, or the peer has gone.

        A response that was broken off is left unfinished: the server beneath then closes the connection.

        Args:
            send: of the application.
            patience: its deadline is moved, so that it passes when one event takes longer than `seconds`.
            seconds: the time that one event may take.
        """
        try:
            while not self._is_over and not self.has_left:
                event = self._next()
                if event is None:
                    self._changed = trio.Event()
                    await self._changed.wait()
                    continue
                if patience is not None:
                    patience.deadline = trio.current_time() + seconds
                is_last = self.is_last_leaving = event.get("more_body") is False
                await send(event)
                if patience is not None:
                    patience.deadline = math.inf
                if is_last:
                    self._leaving, self.has_left = False, True
                elif event["type"] == "http.response.body" and not self._pieces and not self.has_ended:
                    self._leaving = False
                    if self.on_clear is not None:
                        self.on_clear()
        except OSError:
            # ASGI lets `send` raise it if the peer has gone; not every server does.
            self.gone()

    def _next(self) -> Message | None:
        if self._head is not None:
            head, self._head = self._head, None
            self._leaving = True
            if self.has_ended and self._lacks_length(head):
                # With a length, the end is no chunk, which hypercorn writes by itself.
                head["headers"].append((b"content-length", b"%d" % self.waiting_bytes))
            return head
        # A body event follows the head at once, also an empty one: a server may keep the head until then.
        if self._pieces or self.has_ended or self._leaving:
            body = self._piece()
            self._leaving = True
            return {"type": "http.response.body", "body": body, "more_body": bool(self._pieces) or not self.has_ended}
        return None

    def _lacks_length(self, head: Message) -> bool:
        """Return whether a response has a body whose length its head does not tell."""
        if self._is_head or head["status"] in BODILESS:
            return False
        return not any(name == b"content-length" for name, _ in head["headers"])

    def _piece(self) -> bytes:
        """Take out the bytes of one event."""
        waiting = self._pieces
        taken: list[bytes] = []
        size = 0
        while waiting and size + len(waiting[0]) <= PIECE:
            taken.append(waiting.popleft())
            size += len(taken[-1])
        if waiting and not taken:
            long = waiting.popleft()
            waiting.extendleft([long[start : start + PIECE] for start in range(0, len(long), PIECE)][::-1])
            return waiting.popleft()
        return taken[0] if len(taken) == 1 else b"".join(taken)
