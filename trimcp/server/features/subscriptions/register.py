"""The register of subscriptions: which session and which listen watches what. State of the SubscriptionBus alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from trimcp.errors import InvalidParams, RequestFailed
from trimcp.server.features.subscriptions.listener import LISTS, Listener, Watched
from trimcp.session.refusals import another_time
from trimcp.types.jsonrpc import BUSY

if TYPE_CHECKING:
    from trimcp.server.features.kinds import Kind
    from trimcp.session.session import Session


class SubscriptionRegister:
    """Listens by the lists they are told of, and watchers by what they watch."""

    def __init__(self, most: int) -> None:
        """`most`: resources and keys that one session may watch, all its listens together."""
        self._most = most
        self._listeners: dict[Kind, dict[Listener, None]] = {kind: {} for kind in LISTS}
        self._watchers: dict[Watched, dict[Listener | Session, None]] = {}
        self._by_session: dict[Session, set[str]] = {}
        self._counts: dict[Session, int] = {}
        self.size = 0
        """Subscriptions to resources and keys, of all sessions and listens."""

    def __contains__(self, watched: Watched) -> bool:
        """Whether a resource or a key is watched. Any thread may ask."""
        return watched in self._watchers

    def listeners(self, kind: Kind) -> Iterable[Listener]:
        """The listens that are told when a list changes."""
        return self._listeners[kind]

    def watchers(self, watched: Watched) -> Mapping[Listener | Session, None]:
        """Those that watch a resource or a key."""
        return self._watchers.get(watched, {})

    def uris(self, session: Session) -> frozenset[str]:
        """The resources that a legacy session has subscribed to."""
        return frozenset(self._by_session.get(session, ()))

    def has(self, session: Session, uri: str) -> bool:
        """Whether a legacy session has subscribed to a resource."""
        return uri in self._by_session.get(session, ())

    def has_any(self, session: Session) -> bool:
        """Whether a legacy session has subscribed to some resource."""
        return session in self._by_session

    def check_room(self, session: Session, more: int) -> None:
        """
        Raises:
            InvalidParams: a session may never watch so many.
            RequestFailed: this session watches too many already (busy).
        """
        if more > self._most:
            raise InvalidParams(
                f"A session may subscribe to {self._most} resources, and these are {more}", {"most": self._most}
            )
        if self._counts.get(session, 0) + more > self._most:
            raise busy(f"{self._most} resources are subscribed to, which is the most for one session")

    # --- changes ----------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        """Enter a listen."""
        for kind in listener.kinds:
            self._listeners[kind][listener] = None
        self._watch(listener.session, listener, listener.watched)

    def remove_listener(self, listener: Listener) -> None:
        """Remove a listen."""
        for kind in listener.kinds:
            del self._listeners[kind][listener]
        self._unwatch(listener.session, listener, listener.watched)

    def subscribe(self, session: Session, uri: str) -> None:
        """Enter the subscription of a legacy session, which has none to this resource."""
        self._by_session.setdefault(session, set()).add(uri)
        self._watch(session, session, (uri,))

    def unsubscribe(self, session: Session, uri: str) -> None:
        """Remove the subscription of a legacy session, if it has one."""
        uris = self._by_session.get(session)
        if uris is None or uri not in uris:
            return
        uris.remove(uri)
        if not uris:
            del self._by_session[session]
        self._unwatch(session, session, (uri,))

    def remove_session(self, session: Session) -> None:
        """Remove all subscriptions of a legacy session."""
        self._unwatch(session, session, tuple(self._by_session.pop(session, ())))

    def _watch(self, session: Session, watcher: Listener | Session, watched: tuple[Watched, ...]) -> None:
        if not watched:
            return
        for key in watched:
            self._watchers.setdefault(key, {})[watcher] = None
        self._counts[session] = self._counts.get(session, 0) + len(watched)
        self.size += len(watched)

    def _unwatch(self, session: Session, watcher: Listener | Session, watched: tuple[Watched, ...]) -> None:
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


def busy(problem: str) -> RequestFailed:
    """The refusal of a subscription for want of room."""
    return RequestFailed(BUSY, f"Busy: {problem}", another_time("busy"))
