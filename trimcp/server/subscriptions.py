"""The SubscriptionBus: the actor that owns who wants to be told of what, for all sessions of one run.

One call tells every peer, whatever its era: a legacy session is told of the lists by right, and of
the resources it subscribed to; a modern client of what its `subscriptions/listen` asked for. It
has nothing to wait for, so it has no task, and neither has a listen that waits for news.

server/resources and the list-changed parts of server/{tools,prompts} in every revision;
basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from trimcp.actors.home_thread import HomeThread
from trimcp.codec.envelope import encode_notification
from trimcp.codec.jsontext import dumps
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidParams, RequestFailed
from trimcp.protocol.lifecycle import Phase
from trimcp.session.containment import contained
from trimcp.session.refusals import another_time
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import BUSY
from trimcp.types.metadata import SUBSCRIPTION_ID
from trimcp.types.payload import EmptyResult

if TYPE_CHECKING:
    from trimcp.server.registering import Kind
    from trimcp.server.running import Running
    from trimcp.session.session import Session
    from trimcp.types.extensions import ExtensionNotification
    from trimcp.types.resources import ResourceRequestParams
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionFilter, SubscriptionsListenRequestParams

LISTS: Final[tuple[Kind, ...]] = ("tools", "prompts", "resources")
"""The features with a list that may change, by the names of their capabilities."""

LONGEST_ID: Final = 128
"""Bytes of the id of a listen, as JSON: every notice carries it."""
NOTICE: Final = 256 + LONGEST_ID
"""More than the bytes of a notice beside its URI."""

_UPDATED: Final = "notifications/resources/updated"

Watched = str | tuple[str, str]
"""What somebody watches: a resource, by its URI, or a key of a topic that an extension has."""

_ID_GOES_HERE: Final = b'"@"'


class Listener:
    """One `subscriptions/listen` in flight: a request that is held, and what it asked for."""

    __slots__ = ("_bus", "_request", "_tag", "kinds", "watched")

    def __init__(
        self, bus: SubscriptionBus, request: InboundRequest, kinds: tuple[Kind, ...], watched: tuple[Watched, ...]
    ) -> None:
        self._bus = bus
        self._request = request
        # A copy: what orjson returns keeps the 4 KiB that it wrote in, and this stays for long.
        self._tag = bytes(memoryview(dumps(request.id)))
        self.kinds = kinds
        self.watched = watched

    @property
    def session(self) -> Session:
        """Whose it is."""
        return self._request.session

    @property
    def revision(self) -> Revision:
        """The revision that it is served in."""
        return self._request.revision

    def acknowledge(self, granted: SubscriptionFilter) -> None:
        """Post what it will be told, before anything else."""
        notifications = codec_for(self._request.revision).unstructure(granted)
        params = {"_meta": {SUBSCRIPTION_ID: self._request.id}, "notifications": notifications}
        self._request.outlet.post(encode_notification("notifications/subscriptions/acknowledged", params))

    def tell(self, about: tuple[str, ...], frame: tuple[bytes, bytes]) -> None:
        """Post a notice, in place of the one about the same that has not left yet."""
        head, tail = frame
        self._request.outlet.post_latest((self._request.serial, about), head + self._tag + tail)

    def finish(self) -> Callable[[], None] | None:
        """End it in good order: the result and, where that does not end its stream, the cancel after it."""
        from trimcp.types.subscriptions import SubscriptionsListenResult

        request = self._request
        request.conclude(SubscriptionsListenResult(meta={SUBSCRIPTION_ID: request.id}))
        return self._tear_down if request.outlet.is_shared else None

    def _tear_down(self) -> None:
        params = {"requestId": self._request.id, "reason": "the server is stopping"}
        self._request.outlet.post(encode_notification("notifications/cancelled", params))

    def released(self) -> None:
        """See `Held`: nothing more of it leaves, unless it was answered."""
        self._bus.forget(self)
        if self._request.cancel_reason is not None:
            abouts = [*((kind,) for kind in self.kinds), *(_about(watched) for watched in self.watched)]
            for about in abouts:
                self._request.outlet.drop((self._request.serial, about))


class SubscriptionBus:
    """Who is told of what, in one run of a server. Every door is synchronous."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._server = running.server
        self._limits = running.server.limits
        self._sessions = running.sessions
        self._offers = running.server.has
        self._home = HomeThread()
        self._listeners: dict[Kind, dict[Listener, None]] = {kind: {} for kind in LISTS}
        self._watchers: dict[Watched, dict[Listener | Session, None]] = {}
        self._legacy: dict[Session, set[str]] = {}
        self._listens: dict[Session, int] = {}
        self._watched: dict[Session, int] = {}
        self.listens = 0
        """Listens in flight, of all sessions."""

    @property
    def watched(self) -> int:
        """Subscriptions to resources, of all sessions and listens."""
        return sum(self._watched.values())

    # --- telling ----------------------------------------------------------------------

    def changed(self, kind: Kind) -> None:
        """Tell everybody that a list has changed, by the name of the capability. From any thread.

        Nothing happens where the server does not have the feature, and so has not declared it.
        """
        if kind in LISTS:
            self._home.call(self._changed, kind)

    def resource_updated(self, uri: str) -> None:
        """Tell those who subscribed to it that a resource has changed. From any thread."""
        if uri in self._watchers:  # so that what other threads leave here is bounded by what is watched
            self._home.call(self._updated, uri)

    def _changed(self, kind: Kind) -> None:
        if not self._offers(kind):
            return
        method, plain, tagged = _changes(kind)
        for session in self._sessions:
            if session.handshake.phase is Phase.READY:
                session.writer.post_latest(method, plain)
        for listener in self._listeners[kind]:
            listener.tell((kind,), tagged)

    def _updated(self, uri: str) -> None:
        watchers = self._watchers.get(uri)
        if watchers is None:
            return
        plain: bytes | None = None
        tagged: tuple[bytes, bytes] | None = None
        for watcher in watchers:
            if type(watcher) is Listener:
                if tagged is None:
                    tagged = _around_id(_UPDATED, {"uri": uri})
                watcher.tell((_UPDATED, uri), tagged)
            else:
                if plain is None:
                    plain = encode_notification(_UPDATED, {"uri": uri})
                watcher.writer.post_latest((_UPDATED, uri), plain)  # type: ignore[union-attr]  # a Session

    def tell(
        self,
        identifier: str,
        notification: ExtensionNotification[Any],
        params: Any,
        watched: tuple[str, str] | None,
    ) -> None:
        """Tell a notification of an extension: to the listens that watch it or, if None, to legacy sessions. From any
        thread."""
        if watched is None or watched in self._watchers:
            self._home.call(self._tell, identifier, notification, params, watched)

    def _tell(
        self,
        identifier: str,
        notification: ExtensionNotification[Any],
        params: Any,
        watched: tuple[str, str] | None,
    ) -> None:
        from trimcp.codec.extensions import params_encoder
        from trimcp.types.extensions import declared_in

        name = notification.name
        if watched is None:
            for session in self._sessions:
                revision, client = session.revision, session.client
                if revision is None or client is None or session.handshake.phase is not Phase.READY:
                    continue
                if notification.exists_in(revision) and identifier in declared_in(client.capabilities):
                    encoded = params_encoder(codec_for(revision), notification.params)(params)
                    session.writer.post_latest(name, encode_notification(name, encoded))
            return
        for watcher in self._watchers.get(watched, ()):
            if type(watcher) is Listener:
                codec = codec_for(watcher.revision)
                watcher.tell(_about(watched), _around_id(name, params_encoder(codec, notification.params)(params)))

    # --- legacy: resources/subscribe and resources/unsubscribe ------------------------

    async def subscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/subscribe`. A second one for the same resource changes nothing."""
        session, uri = request.session, params.uri
        uris = self._legacy.get(session, ())
        if uri not in uris:
            self._check([uri])
            self._check_room(session, 1)
            if not self._may([uri], request):
                raise InvalidParams(f"This client may not subscribe to {uri}", {"uri": uri})
            self._legacy.setdefault(session, set()).add(uri)
            self._watch(session, session, (uri,))
        return EmptyResult()

    async def unsubscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/unsubscribe`, also where there is nothing to end."""
        session, uri = request.session, params.uri
        if uri in self._legacy.get(session, ()):
            self._legacy[session].remove(uri)
            self._unwatch(session, session, (uri,))
        return EmptyResult()

    def ended(self, session: Session) -> None:
        """A session is over, and its listens with it."""
        uris = self._legacy.pop(session, None)
        if uris:
            self._unwatch(session, session, tuple(uris))

    # --- modern: subscriptions/listen -------------------------------------------------

    def listen(self, request: InboundRequest, params: SubscriptionsListenRequestParams) -> Listener:
        """Hold a `subscriptions/listen`, and acknowledge it.

        Raises:
            InvalidParams: a URI or the id is too long, or one filter has more than a session may have.
            RequestFailed: too many listens, or too many resources, already (busy).
        """
        session, limits = request.session, self._limits
        if self._listens.get(session, 0) >= limits.listens:
            raise _busy(f"{limits.listens} listens of this session are open")
        if self.listens >= limits.server_listens:
            raise _busy(f"{limits.server_listens} listens are open")
        if len(dumps(request.id)) > LONGEST_ID:
            raise InvalidParams(f"The id of a listen must not be longer than {LONGEST_ID} bytes")
        granted = self._granted(params.notifications)
        self._allow(granted, request)
        topics = self._topics(granted, params.notifications, request)
        watched: tuple[Watched, ...] = (*(granted.resource_subscriptions or ()), *topics)
        self._check(key for _, key in topics)
        self._check_room(session, len(watched))
        wanted = (granted.tools_list_changed, granted.prompts_list_changed, granted.resources_list_changed)
        listener = Listener(self, request, tuple(kind for kind, on in zip(LISTS, wanted, strict=True) if on), watched)
        for kind in listener.kinds:
            self._listeners[kind][listener] = None
        self._watch(session, listener, watched)
        self._listens[session] = self._listens.get(session, 0) + 1
        self.listens += 1
        listener.acknowledge(granted)
        return listener

    def forget(self, listener: Listener) -> None:
        """A listen is over."""
        for kind in listener.kinds:
            del self._listeners[kind][listener]
        self._unwatch(listener.session, listener, listener.watched)
        self.listens -= 1
        _less(self._listens, listener.session, 1)

    def _granted(self, wanted: SubscriptionFilter) -> SubscriptionFilter:
        """What of it is told here; what is not asked for is not told."""
        from trimcp.types.subscriptions import SubscriptionFilter

        uris = wanted.resource_subscriptions
        return SubscriptionFilter(
            tools_list_changed=(wanted.tools_list_changed and self._offers("tools")) or None,
            prompts_list_changed=(wanted.prompts_list_changed and self._offers("prompts")) or None,
            resources_list_changed=(wanted.resources_list_changed and self._offers("resources")) or None,
            resource_subscriptions=None if uris is None or not self._offers("resources") else [*dict.fromkeys(uris)],
        )

    def _allow(self, granted: SubscriptionFilter, request: InboundRequest) -> None:
        """Leave out the resources whose changes are not for this client."""
        uris = granted.resource_subscriptions
        if not uris:
            return
        self._check(uris)
        self._check_room(request.session, len(uris))
        granted.resource_subscriptions = self._may(uris, request)

    def _may(self, uris: list[str], request: InboundRequest) -> list[str]:
        """Those of the resources that the user lets this client subscribe to."""
        may = self._server.subscribing
        if may is None:
            return uris
        context = self._running.context(request)
        with contained("may_subscribe"):  # for a listen, it runs in the turn that delivers messages
            return [uri for uri in uris if may(uri, context)]

    def _topics(
        self, granted: SubscriptionFilter, wanted: SubscriptionFilter, request: InboundRequest
    ) -> list[tuple[str, str]]:
        """What of it is about extensions, which say what they tell."""
        extensions = self._server.extensions
        if extensions is None or not wanted.extra:
            return []
        agreed = extensions.granted(self._running.context(request), request.revision, wanted.extra)
        granted.extra = dict(agreed)
        return [(topic, key) for topic, keys in agreed.items() for key in keys]

    # --- resources that are watched ---------------------------------------------------

    def _check(self, uris: Iterable[str]) -> None:
        most = self._limits.uri_bytes
        if any(len(uri) > most or len(dumps(uri)) - len('""') > most for uri in uris):
            raise InvalidParams(f"A URI to subscribe to must not be longer than {most} bytes", {"maxBytes": most})

    def _check_room(self, session: Session, more: int) -> None:
        most = self._limits.subscriptions
        if more > most:
            raise InvalidParams(f"A session may subscribe to {most} resources, and these are {more}", {"most": most})
        if self._watched.get(session, 0) + more > most:
            raise _busy(f"{most} resources are subscribed to, which is the most for one session")

    def _watch(self, session: Session, watcher: Listener | Session, watched: tuple[Watched, ...]) -> None:
        for what in watched:
            self._watchers.setdefault(what, {})[watcher] = None
        if watched:
            self._watched[session] = self._watched.get(session, 0) + len(watched)

    def _unwatch(self, session: Session, watcher: Listener | Session, watched: tuple[Watched, ...]) -> None:
        for what in watched:
            watchers = self._watchers[what]
            del watchers[watcher]
            if not watchers:
                del self._watchers[what]
        if watched:
            _less(self._watched, session, len(watched))


def _about(watched: Watched) -> tuple[str, ...]:
    """What a notice about it is known by, for one listen."""
    return (_UPDATED, watched) if isinstance(watched, str) else ("extension", *watched)


def _less(counts: dict[Session, int], session: Session, fewer: int) -> None:
    left = counts[session] - fewer
    if left:
        counts[session] = left
    else:
        del counts[session]


def _busy(what: str) -> RequestFailed:
    return RequestFailed(BUSY, f"Busy: {what}", another_time("busy"))


@functools.cache
def _changes(kind: str) -> tuple[str, bytes, tuple[bytes, bytes]]:
    """The notice that a list has changed: its method, its frame, and its frame around a subscription's id."""
    method = f"notifications/{kind}/list_changed"
    return method, encode_notification(method, None), _around_id(method, {})


def _around_id(method: str, params: dict[str, Any]) -> tuple[bytes, bytes]:
    """A notice as it goes to listens: what stands before and after the id, which is all that differs."""
    meta = {SUBSCRIPTION_ID: "@", **params.pop("_meta", {})}  # the id first: what follows may look like its place
    frame = encode_notification(method, {"_meta": meta, **params})
    head, _, tail = frame.partition(_ID_GOES_HERE)
    return head, tail
