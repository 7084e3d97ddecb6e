"""Where what belongs to a request leaves: the session's Writer, a batch, or the response of an HTTP exchange."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar, Protocol

from trimcp.session.delivery import Delivery
from trimcp.session.lane import Lane


class Outlet(Protocol):
    """The stream that a request's answer, progress and logs go to, in order of posting."""

    is_shared: ClassVar[bool]
    """Whether other requests leave by it too: its end is not that of one of them, and answers are told apart by
    their ids alone."""

    @property
    def delivery(self) -> Delivery | None:
        """Who sent the requests that leave by it; None where that is who opened the session."""
        ...

    @property
    def room(self) -> int:
        """Bytes that an answer may have."""
        ...

    @property
    def takes_posts(self) -> bool:
        """Whether what is posted reaches the peer; it does not where the peer takes the one answer and no more."""
        ...

    def answer(self, frame: bytes) -> None:
        """Post the one answer of a request."""
        ...

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """Post the one answer of a request, an error with this code; `unfit`: it never became a request."""
        ...

    def post(self, frame: bytes) -> None:
        """Post a notification that is never dropped."""
        ...

    def withdraw(self) -> None:
        """Say that a request will not be answered, since it was cancelled."""
        ...

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a notification that replaces an older one with the same key which has not left."""
        ...

    def drop(self, key: Hashable) -> None:
        """Take back what was posted with that key, if it has not left."""
        ...

    def post_log(self, frame: bytes) -> None:
        """Post a log message, which may be dropped."""
        ...

    def release(self, retry: float) -> bool:
        """Let go of the connection: the client comes back for the rest in `retry` seconds. False where it cannot."""
        ...

    async def wait_room(self) -> None:
        """Wait while more waits to leave than should."""
        ...


class SessionOutlet:
    """The way out of a duplex session: everything shares one stream."""

    __slots__ = ("answer", "drop", "post", "post_latest", "post_log", "room", "wait_room")

    is_shared: ClassVar[bool] = True
    delivery: ClassVar[None] = None

    def __init__(self, writer: Lane, room: int) -> None:
        self.room = room
        # Bound once: an answer costs no call more than the Writer's own.
        self.answer = self.post = writer.post
        self.post_latest = writer.post_latest
        self.drop = writer.drop
        self.post_log = writer.post_log
        self.wait_room = writer.wait_room

    @property
    def takes_posts(self) -> bool:
        return True

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        self.post(frame)

    def release(self, retry: float) -> bool:
        return False

    def withdraw(self) -> None:
        """On a duplex stream an answer that does not come is nothing at all."""


class Batch:
    """The answers to the members of one batch, collected into one array (basic of 2025-03-26).

    Members that are cancelled are left out; a batch without a single answer writes nothing.
    Notifications do not wait for the array.
    """

    __slots__ = ("_answers", "_owed", "_when_over", "_writer", "room")

    is_shared: ClassVar[bool] = True
    delivery: ClassVar[None] = None

    def __init__(self, writer: Lane, room: int, when_over: Callable[[], None]) -> None:
        """`room`: bytes that all its answers may have; beyond, a member is answered with an error.

        `when_over` is told when nothing more is owed.
        """
        self._writer = writer
        self._when_over = when_over
        self.room = room
        self._answers: list[bytes] = []
        self._owed = 1  # held by the reader until it has read every member

    def expect(self) -> None:
        """One more member will be answered or withdrawn."""
        self._owed += 1

    def answer(self, frame: bytes) -> None:
        self._answers.append(frame)
        self.room -= len(frame)
        self.withdraw()

    @property
    def takes_posts(self) -> bool:
        return True

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        self.answer(frame)

    def withdraw(self) -> None:
        """One member fewer is owed; the last one sends the array."""
        self._owed -= 1
        if self._owed == 0:
            self._when_over()
            if self._answers:
                self._writer.post(b"[" + b",".join(self._answers) + b"]")

    def post(self, frame: bytes) -> None:
        self._writer.post(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        self._writer.post_latest(key, frame)

    def drop(self, key: Hashable) -> None:
        self._writer.drop(key)

    def release(self, retry: float) -> bool:
        return False

    def post_log(self, frame: bytes) -> None:
        self._writer.post_log(frame)

    async def wait_room(self) -> None:
        await self._writer.wait_room()
