"""The Dispatcher: hands each message that was read to the actor that owns it.

Requests, cancels, `initialized`, batches and invalid messages go to the Router, in the order in which they were
read. Answers to calls of this side, and progress, go to their owners. The Reader of a duplex connection and the POST
handler of an HTTP endpoint call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from trimcp.codec.envelope import InvalidMessage
from trimcp.errors import ConnectionLost
from trimcp.session.peer import Peer
from trimcp.session.register import Register
from trimcp.session.reply_stream import ReplyStream
from trimcp.session.request import InboundRequest
from trimcp.session.router import Arrived, Router
from trimcp.types.jsonrpc import Message, Notification, Request


class NotificationTaker(Protocol):
    """The service of a session, as the Dispatcher sees it."""

    def notified(self, session: Peer, method: str, params: Mapping[str, Any] | None) -> None:
        """Take a notification of the peer. Must not wait, nor raise."""
        ...


class Dispatcher:
    """Hands on the messages of one session."""

    __slots__ = ("_peer", "_register", "_router", "_service", "_unread", "is_server")

    def __init__(
        self, peer: Peer, router: Router, register: Register[InboundRequest], service: NotificationTaker
    ) -> None:
        """
        Args:
            peer: the sender of the messages.
            router: of the session.
            register: of the peer, with that Router.
            service: takes the notifications that the session has no use for.
        """
        self._peer = peer
        self.is_server: bool = peer.is_server
        self._router = router
        self._register = register
        self._service = service
        self._unread = 0
        """Requests that came since the server last read what this client sends."""

    def take(self, message: Message, reply_stream: ReplyStream, size: int, now: float) -> None:
        """Hand a message to its owner. Never waits.

        Args:
            message: as it was read.
            reply_stream: where the answer leaves, if the message is a request.
            size: its bytes.
            now: the time at which it was read.

        Raises:
            ConnectionLost: a server sends requests on and on, and does not read the answers.
        """
        kind = type(message)
        if kind is Request:
            self.take_requests(((message, size),), reply_stream, size, now)  # type: ignore[arg-type]
        elif kind is Notification:
            self._take_notification(message)  # type: ignore[arg-type]  # `type` narrows no union
        else:
            if self.is_server:
                self._observe(message)
            self._peer.calls.response(message)  # type: ignore[arg-type]  # as above

    def take_requests(self, requests: Arrived, reply_stream: ReplyStream, size: int, now: float) -> None:
        """Hand requests that were read together to the Router. Otherwise as `take`."""
        if not self.is_server:
            self._check_unread(len(requests))
        self._router.requests(self._register, requests, reply_stream, size, now)

    def take_batch(self, values: list[Any], size: int, now: float) -> None:
        """Hand an array to the Router. Never waits."""
        self._router.batch(self._register, values, size, now)

    def take_invalid(self, exc: InvalidMessage, reply_stream: ReplyStream) -> None:
        """Fail the call that an invalid answer is for, or let the Router answer the message. Never waits."""
        is_ours = exc.kind == "unknown" and exc.id is not None and not self.is_server
        if exc.kind == "response" or is_ours:
            self._peer.calls.invalid_response(exc.id, str(exc))
        else:
            self._router.invalid(self._register, exc, reply_stream)

    async def wait_room(self) -> None:
        """Wait while the Router is behind, and, on a server, while the peer does not read."""
        if self._router.mailbox.is_over:
            await self._router.mailbox.wait_room()
        peer = self._peer
        if peer.is_server and peer.writer.is_over:
            # The peer may be waiting for this side to read; a client reads always, so two of ours cannot lock up.
            await peer.writer.wait_room()

    async def wait_routed(self) -> None:
        """Wait until the Router has taken every message so far."""
        await self._router.mailbox.wait_taken()

    def _check_unread(self, requests: int) -> None:
        """Bound the answers to a server that asks and does not read: a client reads always."""
        peer = self._peer
        self._unread = self._unread + requests if peer.writer.is_over else 0
        if self._unread > peer.limits.session_waiting:
            raise ConnectionLost("the server sends requests, and does not read the answers")

    def _observe(self, message: Message) -> None:
        for trace in self._peer.instruments.traces:
            trace.received(self._peer.number, message)

    def _take_notification(self, message: Notification) -> None:
        peer, method, params = self._peer, message.method, message.params
        self._observe(message)
        if method == "notifications/cancelled":
            if peer.is_server or not peer.calls.cancelled_by_peer(params):
                self._router.cancelled(self._register, params)
        elif method == "notifications/progress":
            peer.progress.arrived(peer.calls, params)
        elif method == "notifications/initialized":
            self._router.initialized(self._register)
        else:
            self._service.notified(peer, method, params)
