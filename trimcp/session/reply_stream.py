"""The streams by which messages leave: that of a session, and those of its requests."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Hashable, Sequence
from typing import Any, ClassVar, Protocol

from trimcp.session.delivery import Delivery


class MessageStream(Protocol):
    """A stream of messages to the peer, in the order of posting. Posting never waits, and never fails."""

    def post(self, frame: bytes, /) -> None:
        """Post a message that is never dropped."""
        ...

    def write(self, frame: bytes, /) -> None:
        """Post a message that is never dropped, and write it at once where no message waits before it."""
        ...

    def post_latest(self, key: Hashable, frame: bytes, /) -> None:
        """Post a message that replaces the one with the same key which has not left yet."""
        ...

    def post_reports(self, key: Hashable, frames: Sequence[bytes], /) -> None:
        """Post progress reports, which replace those with the same key only while the peer does not read."""
        ...

    def drop(self, key: Hashable, /) -> None:
        """Take back the message that was posted with this key, if it has not left."""
        ...

    def post_log(self, frame: bytes, /) -> None:
        """Post a log message, which may be dropped."""
        ...

    def wait_room(self) -> Coroutine[Any, Any, None]:
        """Wait while more bytes wait to leave than the limits allow."""
        ...


class SessionStream(MessageStream, Protocol):
    """The stream of a session, for messages that belong to no request."""

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
        """Whether more bytes wait to leave than the limits allow."""
        ...

    async def flushed(self) -> None:
        """Wait until every posted message has left, or the stream is closed."""
        ...

    def close(self) -> None:
        """Drop the messages that wait, and take no more."""
        ...


class ReplyStream(MessageStream, Protocol):
    """The stream for the answer, the progress and the logs of a request."""

    is_shared: ClassVar[bool]
    """Whether several requests use it, so that the peer can tell their answers apart by the ids alone."""

    @property
    def delivery(self) -> Delivery | None:
        """Who sent the requests that use the stream; None where that is who opened the session."""
        ...

    @property
    def room(self) -> int:
        """Bytes that an answer may have."""
        ...

    @property
    def takes_posts(self) -> bool:
        """Whether messages before the answer reach the peer. They do not where the response is plain JSON."""
        ...

    def answer(self, frame: bytes) -> None:
        """Post the one answer of a request."""
        ...

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """Post an error with this code as the one answer; `unfit`: the message never became a request."""
        ...

    def withdraw(self) -> None:
        """Take note that a request will get no answer, since it was cancelled."""
        ...

    def release(self, retry: float) -> bool:
        """Let go of the connection: the client comes back in `retry` seconds. Returns False where it cannot."""
        ...


class RunningRequests(Protocol):
    """The register of a session, as its reply stream sees it."""

    running: int
    """Requests that run."""

    @property
    def long_lived(self) -> Collection[int]: ...


class SharedReplyStream:
    """The part that the reply streams on the one stream of a session have in common."""

    __slots__ = ("_stream", "room")

    is_shared: ClassVar[bool] = True

    def __init__(self, stream: SessionStream, room: int) -> None:
        """
        Args:
            stream: the stream of the session, which takes all messages but answers as they are.
            room: bytes that an answer may have.
        """
        self._stream = stream
        self.room: int = room

    def post(self, frame: bytes, /) -> None:
        """See `MessageStream`."""
        self._stream.post(frame)

    def write(self, frame: bytes, /) -> None:
        """See `MessageStream`."""
        self._stream.write(frame)

    def post_latest(self, key: Hashable, frame: bytes, /) -> None:
        """See `MessageStream`."""
        self._stream.post_latest(key, frame)

    def post_reports(self, key: Hashable, frames: Sequence[bytes], /) -> None:
        """See `MessageStream`."""
        self._stream.post_reports(key, frames)

    def drop(self, key: Hashable, /) -> None:
        """See `MessageStream`."""
        self._stream.drop(key)

    def post_log(self, frame: bytes, /) -> None:
        """See `MessageStream`."""
        self._stream.post_log(frame)

    def wait_room(self) -> Coroutine[Any, Any, None]:
        """See `MessageStream`."""
        return self._stream.wait_room()

    @property
    def delivery(self) -> Delivery | None:
        """See `ReplyStream`."""
        return None

    @property
    def takes_posts(self) -> bool:
        """See `ReplyStream`."""
        return True

    def release(self, retry: float) -> bool:
        """See `ReplyStream`."""
        return False


class SessionReplyStream(SharedReplyStream):
    """The reply stream of a duplex session: its requests share the one stream of the session."""

    __slots__ = ("_requests",)

    def __init__(self, stream: SessionStream, room: int, requests: RunningRequests) -> None:
        """`requests`: the register of the session. For the others see `SharedReplyStream`."""
        super().__init__(stream, room)
        self._requests = requests

    def answer(self, frame: bytes) -> None:
        """Write an answer at once where no other request runs; else post it, to leave with other answers."""
        requests = self._requests
        if requests.running == 1 or not (requests.running or requests.long_lived):
            self._stream.write(frame)
        else:
            self._stream.post(frame)

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """See `ReplyStream`."""
        self.answer(frame)

    def withdraw(self) -> None:
        """See `ReplyStream`. On a duplex connection nothing is written for a missing answer."""
