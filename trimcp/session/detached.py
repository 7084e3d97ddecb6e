"""Stand-ins for the peer and the stream of a request whose work goes on after its answer.

The work keeps its request object, and the request keeps these instead of the session: so the session can end, and be
forgotten, while the work goes on.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

from trimcp.actors.actor import Actor
from trimcp.errors import ConnectionClosed
from trimcp.limits import Limits
from trimcp.observability.instruments import Instruments
from trimcp.protocol.client_profile import ClientProfile
from trimcp.session.call import CallRoute
from trimcp.session.delivery import Delivery
from trimcp.session.peer import Peer
from trimcp.session.pending_calls import Calls
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.register import Register
from trimcp.session.reply_stream import ReplyStream, SessionStream
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import Message, RequestId
from trimcp.types.revisions import Revision


class DiscardingStream:
    """Stands for the stream of a request that has been answered, and of its session: discards all messages."""

    is_shared: ClassVar[bool] = True
    posted: int = 0
    waiting_bytes: int = 0
    is_over: bool = False

    def __init__(self, room: int, delivery: Delivery) -> None:
        """`room`: bytes that the outcome of the work may have. `delivery` is that of the request."""
        self.room: int = room
        self.delivery: Delivery | None = delivery

    @property
    def takes_posts(self) -> bool:
        """See `ReplyStream`."""
        return False

    def post(self, frame: bytes, /) -> None:
        """See `MessageStream`."""

    def write(self, frame: bytes, /) -> None:
        """See `MessageStream`."""

    def post_latest(self, key: Hashable, frame: bytes, /) -> None:
        """See `MessageStream`."""

    def post_reports(self, key: Hashable, frames: Sequence[bytes], /) -> None:
        """See `MessageStream`."""

    def post_log(self, frame: bytes, /) -> None:
        """See `MessageStream`."""

    def drop(self, key: Hashable, /) -> None:
        """See `MessageStream`."""

    async def wait_room(self) -> None:
        """Do not wait: there is always room."""

    async def flushed(self) -> None:
        """Do not wait: nothing waits to leave."""

    def close(self) -> None:
        """There is nothing to drop."""

    def answer(self, frame: bytes) -> None:
        """See `ReplyStream`."""

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """See `ReplyStream`."""

    def withdraw(self) -> None:
        """See `ReplyStream`."""

    def release(self, retry: float) -> bool:
        """There is no connection to close."""
        return False


class NoSupervisor:
    """Owns an actor that works in the turn of its senders."""

    def start(self, actor: Actor[Any]) -> bool:
        """See `Owner`."""
        return False

    def fail(self, error: BaseException) -> None:
        """See `Owner`."""
        raise error


class _NoRouter:
    """Stands for the Router: detached work has no place to give back there."""

    def granted(self, register: Register[Any]) -> None:
        """See `RegisterRouter`."""

    def left(self, request: Any) -> None:
        """See `RegisterRouter`."""


class DetachedPeer(Peer):
    """Stands for the session of a request that has been answered."""

    def __init__(
        self,
        limits: Limits,
        delivery: Delivery,
        revision: Revision,
        profile: ClientProfile | None,
        stream: ReplyStream | None = None,
        number: int | None = None,
        progress: ProgressTracker | None = None,
    ) -> None:
        """
        Args:
            limits: of the server.
            delivery: of the request.
            revision: of the request.
            profile: of the client.
            stream: takes the messages of the work; they are discarded if not given.
            number: of the session that it stands for.
            progress: takes the progress of the work.
        """
        super().__init__(limits, delivery, is_server=True)
        if number is not None:
            self.number = number
        self.revision: Revision | None = revision
        self.client = profile
        self.instruments: Instruments = Instruments()
        discarding = DiscardingStream(limits.result_bytes, delivery)
        self.writer: SessionStream = discarding
        self.reply_stream: ReplyStream = discarding if stream is None else stream
        self.progress: ProgressTracker = ProgressTracker(NoSupervisor(), limits) if progress is None else progress
        self.calls: Calls = Calls(self, limits)
        self.calls.fail_all(ConnectionClosed("The request has been answered: the client cannot be sent a request"))
        self.register: Register[InboundRequest] = Register(self, _NoRouter(), 1)
        """The register that the request has from its answer on."""

    def take(self, message: Message, reply_stream: ReplyStream, size: int, now: float) -> None:
        """See `Peer`. No message comes."""

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: CallRoute | None
    ) -> None:
        """See `CallSender`. Its calls fail before they are sent."""

    def give_up_call(self, id: RequestId, why: str, via: CallRoute | None) -> None:
        """See `CallSender`."""

    @property
    def description(self) -> str:
        """See `Peer`."""
        return "work that goes on after its answer"

    def adopt(self, request: InboundRequest) -> None:
        """Take the place of the session and the stream of a request."""
        request.register = self.register
        request.reply_stream = self.reply_stream
