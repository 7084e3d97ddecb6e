"""Where what belongs to a request leaves: the session's Writer, a batch, or the response of an HTTP exchange."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Protocol

from trimcp.session.delivery import Delivery


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

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped, and write it at once where nothing waits before it."""
        ...

    def withdraw(self) -> None:
        """Say that a request will not be answered, since it was cancelled."""
        ...

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a notification that replaces an older one with the same key which has not left."""
        ...

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """Post a report, which replaces the one with the same key only while the peer does not read."""
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


class Stream(Protocol):
    """The stream of a session: what belongs to no request leaves by it."""

    @property
    def posted(self) -> int:
        """Messages posted so far."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait to leave than should."""
        ...

    def post(self, frame: bytes) -> None:
        """Post a message that is never dropped."""
        ...

    def write(self, frame: bytes) -> None:
        """Post a message that is never dropped, and write it at once where nothing waits before it."""
        ...

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Post a message that replaces the one with the same key which has not left."""
        ...

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """Post a report, which replaces the one with the same key only while the peer does not read."""
        ...

    def drop(self, key: Hashable) -> None:
        """Take back the message that was posted with that key, if it has not left."""
        ...

    def post_log(self, frame: bytes) -> None:
        """Post a log message, which may be dropped."""
        ...

    async def wait_room(self) -> None:
        """Wait while more waits to leave than should."""
        ...

    async def flushed(self) -> None:
        """Wait until everything posted has left, or the stream is closed."""
        ...

    def close(self) -> None:
        """Drop what waits, and take nothing more."""
        ...


class InFlight(Protocol):
    """How many requests of a session run, as its Router publishes it."""

    running: int


class SessionOutlet:
    """The way out of a duplex session: everything shares one stream."""

    __slots__ = (
        "_requests",
        "_stream",
        "drop",
        "post",
        "post_latest",
        "post_log",
        "post_report",
        "room",
        "wait_room",
        "write",
    )

    is_shared: ClassVar[bool] = True

    def __init__(self, stream: Stream, room: int, requests: InFlight) -> None:
        self.room = room
        self._stream = stream
        self._requests = requests
        self.post = stream.post
        self.write = stream.write
        self.post_latest = stream.post_latest
        self.post_report = stream.post_report
        self.drop = stream.drop
        self.post_log = stream.post_log
        self.wait_room = stream.wait_room

    @property
    def delivery(self) -> Delivery | None:
        return None

    @property
    def takes_posts(self) -> bool:
        return True

    def answer(self, frame: bytes) -> None:
        """Post an answer: at once where no other request runs, else with the answers that come in the same turn."""
        if self._requests.running == 1:
            self._stream.write(frame)
        else:
            self._stream.post(frame)

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        self.answer(frame)

    def release(self, retry: float) -> bool:
        return False

    def withdraw(self) -> None:
        """On a duplex stream an answer that does not come is nothing at all."""


class Batch:
    """The answers to the members of one batch, collected into one array (basic of 2025-03-26).

    Members that are cancelled are left out; a batch without a single answer writes nothing.
    Notifications do not wait for the array.
    """

    __slots__ = ("_answers", "_owed", "_stream", "room")

    is_shared: ClassVar[bool] = True

    def __init__(self, stream: Stream, room: int) -> None:
        """`room`: bytes that all its answers may have; beyond, a member is answered with an error."""
        self._stream = stream
        self.room = room
        self._answers: list[bytes] = []
        self._owed = 1  # held by the Router until it has taken every member

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is owed."""
        return self._owed == 0

    def expect(self) -> None:
        """One more member will be answered or withdrawn."""
        self._owed += 1

    def answer(self, frame: bytes) -> None:
        self._answers.append(frame)
        self.room -= len(frame)
        self.withdraw()

    @property
    def delivery(self) -> Delivery | None:
        return None

    @property
    def takes_posts(self) -> bool:
        return True

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        self.answer(frame)

    def withdraw(self) -> None:
        """One member fewer is owed; the last one sends the array."""
        self._owed -= 1
        if self._owed == 0 and self._answers:
            self._stream.post(b"[" + b",".join(self._answers) + b"]")

    def post(self, frame: bytes) -> None:
        self._stream.post(frame)

    def write(self, frame: bytes) -> None:
        self._stream.write(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        self._stream.post_latest(key, frame)

    def post_report(self, key: Hashable, frame: bytes) -> None:
        self._stream.post_report(key, frame)

    def drop(self, key: Hashable) -> None:
        self._stream.drop(key)

    def release(self, retry: float) -> bool:
        return False

    def post_log(self, frame: bytes) -> None:
        self._stream.post_log(frame)

    async def wait_room(self) -> None:
        await self._stream.wait_room()
