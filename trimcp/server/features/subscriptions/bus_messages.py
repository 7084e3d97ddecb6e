"""The messages to the SubscriptionBus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from trimcp.actors.reply import Reply
from trimcp.server.features import Feature
from trimcp.server.features.subscriptions.grants import GrantedListen
from trimcp.session.request import InboundRequest

if TYPE_CHECKING:
    from trimcp.session.peer import Peer
    from trimcp.types.subscriptions import SubscriptionFilter


class BusMessage:
    """A message to the bus."""

    __slots__ = ()


@attrs.frozen(repr=False)
class Changed(BusMessage):
    """A list has changed. Threads may tell this, `Updated` and `Notice`: equal ones that wait become one message."""

    feature: Feature


@attrs.frozen(repr=False)
class Updated(BusMessage):
    """A resource has changed."""

    uri: str


@attrs.frozen(repr=False)
class Notice(BusMessage):
    """An extension notifies clients. `SubscriptionBus._frames` holds the newest frames of the name and the key."""

    name: str
    watched: tuple[str, str] | None
    everywhere: bool
    """Whether the clients of other nodes get it too."""


@attrs.frozen(eq=False, repr=False)
class Subscribe(BusMessage):
    """A legacy session subscribes to a resource."""

    session: Peer
    uri: str
    reply: Reply[None]
    is_late: bool = False
    """Whether the resource may have changed since the session subscribed at another node, so that it is told now."""


@attrs.frozen(eq=False, repr=False)
class Unsubscribe(BusMessage):
    """A legacy session unsubscribes from a resource."""

    session: Peer
    uri: str


@attrs.frozen(eq=False, repr=False)
class Open(BusMessage):
    """A listen has arrived."""

    request: InboundRequest
    wanted: SubscriptionFilter


@attrs.frozen(eq=False, repr=False)
class Grant(BusMessage):
    """The functions of the user have granted changes to a listen."""

    request: InboundRequest
    granted: GrantedListen


@attrs.frozen(eq=False, repr=False)
class Finish(BusMessage):
    """The session of a listen drains."""

    request: InboundRequest


@attrs.frozen(eq=False, repr=False)
class Released(BusMessage):
    """A listen is over: answered, refused or cancelled."""

    request: InboundRequest


@attrs.frozen(eq=False, repr=False)
class EndsDue(BusMessage):
    """The time has come to end answered listens."""


@attrs.frozen(eq=False, repr=False)
class SessionEnded(BusMessage):
    """A legacy session is over."""

    session: Peer


@attrs.frozen(eq=False, repr=False)
class Missed(BusMessage):
    """A legacy session may have missed changes, since no node had its GET stream for a time."""

    session: Peer
