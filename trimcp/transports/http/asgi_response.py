"""A response on its way out through ASGI: what was written, until the application's task has sent it.

Owns the order of the two events that a response is made of, and when it is clogged. Whoever
answers writes without waiting; one task, the application's own (`asgi.AsgiDoor`), calls `leave`.
No field that belongs to the connection is written here: the server below knows whether it
speaks HTTP/1.1 or HTTP/2, this does not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import trio

from trimcp.transports.http.door import Fields, HttpResponse

Message = MutableMapping[str, Any]
"""An event of ASGI, in or out; a scope as well."""
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE: Final = 65536
"""The most bytes of one event, so that the time of a peer that reads slowly is not that of all of a long body."""

BODILESS = frozenset({204, 304})
"""Statuses of a response that has no body, and so no length of one either."""


class AsgiResponse(HttpResponse):
    """The way back of one request that came through ASGI."""

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
        self.has_ended = False
        """Whether all of it has been written."""
        self.is_last_leaving = False
        """Whether the event that completes it is being sent."""
        self.has_left = False
        """Whether all of it has been sent."""
        self.is_aborted = False

    # --- for those who answer: no wait, no failure ------------------------------------

    @property
    def is_clogged(self) -> bool:
        return self._leaving or bool(self._pieces)

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
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
        if not self._begun and not self._is_over:
            self._start(status, [*fields, *self.further])
            self._changed.set()

    def write(self, data: bytes) -> None:
        if data and not self._is_head and self._begun and not self.has_ended and not self._is_over:
            self._pieces.append(data)
            self._changed.set()

    def end(self) -> None:
        if self._begun and not self._is_over:
            self.has_ended = True
            self._changed.set()

    def abort(self) -> None:
        if not self.has_left and not self._is_over:
            self.is_aborted = True
            self._drop()

    def gone(self) -> None:
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

    # --- for the application's task ---------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the body that were written and not sent."""
        return sum(map(len, self._pieces))

    async def leave(self, send: Send, patience: trio.CancelScope | None = None, seconds: float = math.inf) -> None:
        """Send what is written, and what will be, until it has ended, was broken off, or nobody is there.

        A response that was broken off is left unfinished: the server below then closes the connection.

        Args:
            send: the application's.
            patience: its deadline is moved so that it passes when one event takes longer than `seconds`.
            seconds: how long one event may take.
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
            # What ASGI lets `send` say of a peer that has gone; not every server does.
            self.gone()

    def _next(self) -> Message | None:
        if self._head is not None:
            head, self._head = self._head, None
            self._leaving = True
            return head
        # After the head a body event follows at once, also an empty one: before that, a server may keep the head.
        if self._pieces or self.has_ended or self._leaving:
            body = self._piece()
            self._leaving = True
            return {"type": "http.response.body", "body": body, "more_body": bool(self._pieces) or not self.has_ended}
        return None

    def _piece(self) -> bytes:
        """Take out what goes into one event."""
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
