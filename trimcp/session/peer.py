"""The peer: the other side of a session, as requests, calls and features see it.

It holds what was agreed with the peer, and the ways to reach it. Everything that runs for the peer, and ends with
the session, is the business of `Session`, which extends it.
"""

from __future__ import annotations

import abc
import itertools
from typing import ClassVar, Final

from trimcp.errors import ConnectionEnded
from trimcp.limits import Limits
from trimcp.observability.instruments import Instruments
from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.lifecycle import Handshake
from trimcp.protocol.principal import Principal
from trimcp.session.delivery import Delivery
from trimcp.session.pending_calls import Calls
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.reply_stream import ReplyStream, SessionStream
from trimcp.types.jsonrpc import Message
from trimcp.types.revisions import LATEST, Revision

_numbers: Final = itertools.count(1)


class Peer(abc.ABC):
    """The other side of one session, or the sender of stateless requests."""

    is_stateless: ClassVar[bool] = False
    """Whether the protocol has no session: each request says by itself who asks, and in which revision."""

    writer: SessionStream
    """The stream for messages that belong to no request."""
    reply_stream: ReplyStream
    """The stream for messages that belong to a request, where the request has no stream of its own."""
    calls: Calls
    """The requests that this side makes of the peer."""
    progress: ProgressTracker
    instruments: Instruments
    """Observe the messages of the peer, while a trace is open."""

    def __init__(self, limits: Limits, delivery: Delivery, *, is_server: bool) -> None:
        """
        Args:
            limits: of this side.
            delivery: who opened the session; also the sender of its requests, where their reply streams name none.
            is_server: whether this side is the server.
        """
        self.number: int = next(_numbers)
        self.limits: Limits = limits
        self.delivery: Delivery = delivery
        self.is_server: bool = is_server
        self.handshake: Handshake = Handshake()
        self.client: ClientProfile | None = None
        """The client as `initialize` introduced it. Set on a server only."""
        self.revision: Revision | None = None
        """The revision that the handshake agreed on; on a client, the one that it chose."""
        self._end: ConnectionEnded | None = None

    @abc.abstractmethod
    def take(self, message: Message, reply_stream: ReplyStream, size: int, now: float) -> None:
        """Hand a message of the peer to its owner. Never waits."""

    def profile_changed(self) -> None:  # noqa: B027 - most peers keep no record
        """Take note that the profile of the client was changed by one of its requests. Never waits."""

    def is_behind(self) -> bool:
        """Whether more answers wait for the peer to read than the limits allow. Meanwhile no further request starts."""
        return False

    @property
    def principal(self) -> Principal | None:
        """The authenticated sender that opened the session; None for an anonymous one."""
        return self.delivery.principal

    @property
    def end(self) -> ConnectionEnded | None:
        """Why the session has ended or will end; None while it goes on."""
        return self._end

    @property
    def unreadable_id_is_null(self) -> bool:
        """Whether an error that answers no readable id has the id null. Otherwise it has no id."""
        return (self.revision or LATEST).unreadable_id_is_null

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """Where the connection leads, for logs and errors."""
