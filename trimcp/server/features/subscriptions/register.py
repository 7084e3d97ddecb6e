"""The state of the SubscriptionBus: the open listens, and the sessions and listens that watch something.

basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.codec.envelope import encode_notification
from trimcp.codec.jsontext import dumps
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidParams, RequestFailed
from trimcp.server.features import Feature
from trimcp.server.features.subscriptions.grants import GrantedListen, SubscriptionGrants, busy
from trimcp.server.features.subscriptions.notices import LISTS, About, Frame, Watched, about
from trimcp.session.refusals import retry_data
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import DRAINING
from trimcp.types.metadata import SUBSCRIPTION_ID

if TYPE_CHECKING:
    from trimcp.actors.actor import Owner
    from trimcp.limits import Limits
    from trimcp.server.features.subscriptions.snapshot import ListenSnapshot
    from trimcp.session.peer import Peer
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionFilter

APART: Final = 0.1
"""Seconds between the result of a listen on a shared stream and the `cancelled` that ends it.

Released clients handle a notification at once, and a result in another task: messages that come together would be
handled in the wrong order."""


class OpenListen:
    """A `subscriptions/listen` that was acknowledged, and the changes that it gets."""

    __slots__ = ("_request", "_tag", "lists", "watched")

    def __init__(self, request: InboundRequest, lists: tuple[Feature, ...], watched: tuple[Watched, ...]) -> None:
        self._request = request
        # A copy: a value of orjson keeps its buffer of 4 KiB, and this value stays as long as the listen.
        self._tag = bytes(memoryview(dumps(request.id)))
        self.lists: tuple[Feature, ...] = lists
        self.watched: tuple[Watched, ...] = watched

    @property
    def session(self) -> Peer:
        """The session, or the stateless peer, of the listen."""
        return self._request.session

    @property
    def revision(self) -> Revision:
        """The revision of the request."""
        return self._request.revision

    def acknowledge(self, granted: SubscriptionFilter) -> None:
        """Post the granted filter, which is the first message of the listen."""
        notifications = codec_for(self.revision).unstructure(granted)
        params = {"_meta": {SUBSCRIPTION_ID: self._request.id}, "notifications": notifications}
        self._request.reply_stream.post(encode_notification("notifications/subscriptions/acknowledged", params))

    def post(self, about: About, frame: Frame) -> None:
        """Post a notice. It replaces one of the same subject that has not left yet."""
        request = self._request
        if request.is_settled:  # answered or cancelled: the bus gets the message of the end later
            return
        head, tail = frame
        request.reply_stream.post_latest((request.serial, about), head + self._tag + tail)

    def drop_notices(self) -> None:
        """Drop the notices that have not left: the client has cancelled the listen."""
        abouts = [*((feature,) for feature in self.lists), *(about(watched) for watched in self.watched)]
        for subject in abouts:
            self._request.reply_stream.drop((self._request.serial, subject))


class SubscriptionRegister:
    """Holds the listens by the lists that they get, and the watchers by resource and key."""

    def __init__(self, most: int) -> None:
        """`most`: resources and keys that one session may watch, over all its listens."""
        self._most = most
        self._listens: dict[Feature, dict[OpenListen, None]] = {feature: {} for feature in LISTS}
        self._watchers: dict[Watched, dict[OpenListen | Peer, None]] = {}
        self._by_session: dict[Peer, set[str]] = {}
        self._counts: dict[Peer, int] = {}
        self.size: int = 0
        """The subscriptions to resources and keys, of all sessions and listens."""

    def __contains__(self, watched: Watched) -> bool:
        """Whether a session or a listen watches a resource or a key. From any thread."""
        return watched in self._watchers

    @property
    def uris(self) -> Sequence[str]:
        """The resources that sessions and listens watch."""
        return [watched for watched in self._watchers if isinstance(watched, str)]

    def sessions_of(self, uri: str) -> tuple[int, ...]:
        """Return the numbers of the sessions that watch a resource."""
        watchers = self._watchers.get(uri, ())
        peers = (watcher.session if isinstance(watcher, OpenListen) else watcher for watcher in watchers)
        return tuple(sorted({peer.number for peer in peers}))

    def keys(self, topic: str) -> Sequence[str]:
        """Return the keys of a topic that listens watch."""
        return [watched[1] for watched in self._watchers if type(watched) is tuple and watched[0] == topic]

    def listens(self, feature: Feature) -> Iterable[OpenListen]:
        """Return the listens that get the changes of a list."""
        return self._listens[feature]

    def watchers(self, watched: Watched) -> Mapping[OpenListen | Peer, None]:
        """Return the sessions and listens that watch a resource or a key."""
        return self._watchers.get(watched, {})

    def has(self, session: Peer, uri: str) -> bool:
        """Whether a legacy session has subscribed to a resource."""
        return uri in self._by_session.get(session, ())

    def uris_of(self, session: Peer) -> Collection[str]:
        """Return the resources that a legacy session has subscribed to."""
        return self._by_session.get(session, ())

    def has_any(self, session: Peer) -> bool:
        """Whether a legacy session has subscribed to some resource."""
        return session in self._by_session

    def check_room(self, session: Peer, more: int) -> None:
        """
        Raises:
            InvalidParams: more than any session may watch.
            RequestFailed: this session watches too many already (busy).
        """
        if more > self._most:
            raise InvalidParams(
                f"Too many resources for one session, {more}: subscribe to at most {self._most}", {"most": self._most}
            )
        if self._counts.get(session, 0) + more > self._most:
            raise busy(f"the session has {self._most} subscriptions, the most for one session")

    # --- changes ----------------------------------------------------------------------

    def add(self, listen: OpenListen) -> None:
        """Add a listen."""
        for feature in listen.lists:
            self._listens[feature][listen] = None
        self._watch(listen.session, listen, listen.watched)

    def remove(self, listen: OpenListen) -> None:
        """Remove a listen."""
        for feature in listen.lists:
            del self._listens[feature][listen]
        self._unwatch(listen.session, listen, listen.watched)

    def subscribe(self, session: Peer, uri: str) -> None:
        """Add a subscription of a legacy session, which must not have it yet."""
        self._by_session.setdefault(session, set()).add(uri)
        self._watch(session, session, (uri,))

    def unsubscribe(self, session: Peer, uri: str) -> None:
        """Remove the subscription of a legacy session, if it has one."""
        uris = self._by_session.get(session)
        if uris is None or uri not in uris:
            return
        uris.remove(uri)
        if not uris:
            del self._by_session[session]
        self._unwatch(session, session, (uri,))

    def remove_session(self, session: Peer) -> None:
        """Remove all subscriptions of a legacy session."""
        self._unwatch(session, session, tuple(self._by_session.pop(session, ())))

    def _watch(self, session: Peer, watcher: OpenListen | Peer, watched: tuple[Watched, ...]) -> None:
        if not watched:
            return
        for key in watched:
            self._watchers.setdefault(key, {})[watcher] = None
        self._counts[session] = self._counts.get(session, 0) + len(watched)
        self.size += len(watched)

    def _unwatch(self, session: Peer, watcher: OpenListen | Peer, watched: tuple[Watched, ...]) -> None:
        if not watched:
            return
        for key in watched:
            watchers = self._watchers[key]
            del watchers[watcher]
            if not watchers:
                del self._watchers[key]
        left = self._counts.pop(session) - len(watched)
        if left:
            self._counts[session] = left
        self.size -= len(watched)


class OpenListens:
    """Holds the listens in flight, from the check of their bounds to their end."""

    def __init__(self, limits: Limits, grants: SubscriptionGrants, register: SubscriptionRegister) -> None:
        self._limits = limits
        self._grants = grants
        self._register = register
        self._listens: dict[InboundRequest, OpenListen | None] = {}  # None until it is granted
        self._of_session: dict[Peer, int] = {}
        self._ends: dict[InboundRequest, float] = {}  # the answered listens, in the order of their ends

    def __len__(self) -> int:
        return len(self._listens)

    def snapshots(self, most: int | None) -> tuple[ListenSnapshot, ...]:
        """Take a snapshot of each listen, the oldest first, of at most that many."""
        return tuple(_snapshot(request, listen) for request, listen in islice(self._listens.items(), most))

    def open(self, request: InboundRequest, wanted: SubscriptionFilter) -> bool:
        """Refuse a listen, or grant it. Returns True if the functions of the user must be asked first."""
        if request.is_settled:  # cancelled in the meantime
            return False
        try:
            self._check_room(request)
            uris = self._grants.check(request, wanted)
            self._register.check_room(request.session, uris)
            granted = None if self._grants.calls_user(wanted) else self._grants.grant(request, wanted, {})
        except RequestFailed as exc:
            request.refuse_failed(exc)
            return False
        self._listens[request] = None
        self._of_session[request.session] = self._of_session.get(request.session, 0) + 1
        if granted is None:
            return True
        self.granted(request, granted)
        return False

    def _check_room(self, request: InboundRequest) -> None:
        limits = self._limits
        if self._of_session.get(request.session, 0) >= limits.listens:
            raise busy(f"{limits.listens} listens of this session are open")
        if len(self._listens) >= limits.server_listens:
            raise busy(f"{limits.server_listens} listens are open")

    def granted(self, request: InboundRequest, granted: GrantedListen) -> None:
        """Acknowledge a listen, and notify it of changes from now on."""
        if request.is_settled or request not in self._listens:  # cancelled or refused in the meantime
            return
        try:
            self._register.check_room(request.session, len(granted.watched))
        except RequestFailed as exc:
            request.refuse_failed(exc)
            return
        listen = self._listens[request] = OpenListen(request, granted.lists, granted.watched)
        self._register.add(listen)
        listen.acknowledge(granted.filter)

    # --- the end ----------------------------------------------------------------------

    def finish(self, request: InboundRequest) -> None:
        """End a listen by its result and, on a shared stream, by a `cancelled` after it."""
        from trimcp.types.subscriptions import SubscriptionsListenResult

        if request.is_settled or request not in self._listens:
            return
        if self._listens[request] is None:
            request.refuse(DRAINING, "The server is stopping and takes no new work", retry_data("draining"))
            return
        if request.reply_stream.is_shared:
            request.keep()
            self._ends[request] = trio.current_time() + APART
        request.conclude(SubscriptionsListenResult(meta={SUBSCRIPTION_ID: request.id}))

    @property
    def next_end(self) -> float | None:
        """The time at which the next answered listen must end, in Trio's clock; None if there is none."""
        return next(iter(self._ends.values()), None)

    def end_answered(self, now: float) -> None:
        """Send the `cancelled` of the listens whose time has come."""
        while self._ends:
            request, due = next(iter(self._ends.items()))
            if due > now:
                return
            del self._ends[request]
            self._post_cancelled(request)
            request.let_go()

    def _post_cancelled(self, request: InboundRequest) -> None:
        params = {"requestId": request.id, "reason": "the server is stopping"}
        request.reply_stream.post(encode_notification("notifications/cancelled", params))

    def forget(self, request: InboundRequest) -> None:
        """Remove a listen that is over. If it was cancelled, drop its notices that have not left."""
        if self._ends.pop(request, None) is not None:  # the drain was over earlier
            self._post_cancelled(request)
        if request not in self._listens:  # it was refused
            return
        listen = self._listens.pop(request)
        left = self._of_session.pop(request.session) - 1
        if left:
            self._of_session[request.session] = left
        if listen is not None:
            self._register.remove(listen)
            if request.cancel_reason is not None:
                listen.drop_notices()


def _snapshot(request: InboundRequest, listen: OpenListen | None) -> ListenSnapshot:
    from trimcp.server.features.subscriptions.snapshot import ListenSnapshot

    watched = () if listen is None else listen.watched
    return ListenSnapshot(
        session=request.session_number,
        request=request.serial,
        id=request.id,
        since=request.received_at,
        is_granted=listen is not None,
        lists=() if listen is None else tuple(listen.lists),
        uris=tuple(each for each in watched if isinstance(each, str)),
        topics=tuple(each for each in watched if not isinstance(each, str)),
    )


class EndsListens(Protocol):
    """The SubscriptionBus, as `ListenEnds` reaches it."""

    def ends_due(self) -> None:
        """End the answered listens whose time has come."""
        ...


class ListenEnds(Actor[float]):
    """The actor that waits until the next answered listen must end, and then tells the SubscriptionBus."""

    name = "ends of listens"

    def __init__(self, owner: Owner, bus: EndsListens) -> None:
        super().__init__(owner, Mailbox(1, Overflow.REPLACE, key=lambda _: "the next end"))
        self._bus = bus

    def wait_until(self, due: float | None) -> None:
        """Tell the bus at a time, in Trio's clock; None does nothing. It replaces an earlier time that waits."""
        if due is not None:
            self.tell(due)

    async def run(self) -> None:
        """See `Actor`."""
        while True:
            due = await self.mailbox.receive()
            await trio.sleep_until(due)
            self._bus.ends_due()

    def handle(self, message: float) -> None:
        """Drop a time: the run is over, and listens end with their requests."""
