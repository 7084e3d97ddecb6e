"""The SubscriptionBus: the actor that notifies clients of changes, for all sessions of one run of a server.

One call notifies the clients of both eras. A legacy session gets the changes of all lists, and of the resources that
it subscribed to. A modern client gets the changes that its `subscriptions/listen` was granted.

server/{resources,tools,prompts} of every revision; basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.errors import RequestFailed
from trimcp.server.features import Feature
from trimcp.server.features.subscriptions.bus_messages import (
    BusMessage,
    Changed,
    EndsDue,
    Finish,
    Grant,
    Missed,
    Notice,
    Open,
    Released,
    SessionEnded,
    Subscribe,
    Unsubscribe,
    Updated,
)
from trimcp.server.features.subscriptions.grants import (
    Approval,
    GrantedListen,
    ListenApproval,
    SubscribeApproval,
    SubscriptionGrants,
    busy,
)
from trimcp.server.features.subscriptions.notices import LISTS, EncodedNotice
from trimcp.server.features.subscriptions.poster import ChangePoster
from trimcp.server.features.subscriptions.register import ListenEnds, OpenListens, SubscriptionRegister
from trimcp.session.request import InboundRequest

if TYPE_CHECKING:
    from trimcp.actors.supervisor import Supervisor
    from trimcp.limits import Limits
    from trimcp.server.features.subscriptions.snapshot import SubscriptionsSnapshot
    from trimcp.session.peer import Peer
    from trimcp.stores.node_messages import NodeMessages
    from trimcp.types.extensions import ExtensionNotification
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionsListenRequestParams


class SubscriptionBus(Actor[BusMessage]):
    """The actor that notifies sessions and listens of changes.

    It works in the turn of its sender: the notice of a change that a handler makes must be posted before the answer
    of the handler, and the acknowledgement of a listen before all messages that are posted after its request.
    """

    name = "subscription bus"

    def __init__(
        self,
        supervisor: Supervisor,
        sessions: Collection[Peer],
        grants: SubscriptionGrants,
        limits: Limits,
        revisions: Sequence[Revision],
        messages: NodeMessages | None = None,
    ) -> None:
        """
        Args:
            supervisor: the supervisor of the run.
            sessions: the legacy sessions of the run; they come and go.
            grants: decides which changes a client gets.
            limits: the limits of the server.
            revisions: the revisions that the server offers.
            messages: to the other nodes of a shared store, whose clients get the changes too.
        """
        super().__init__(supervisor, Mailbox(1), in_turn=True)  # the mailbox of an actor in turn stays empty
        self._grants = grants
        self._revisions = revisions
        self._register = SubscriptionRegister(limits.subscriptions)
        self._poster = ChangePoster(sessions, self._register, grants, revisions, messages)
        self._approvals = supervisor.open_pool("may subscribe", 2 * limits.server_listens + 2 * limits.server_requests)
        self._listens = OpenListens(limits, grants, self._register)
        self._ends = supervisor.add(ListenEnds(supervisor, self))
        self._frames: dict[Notice, EncodedNotice] = {}
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Changed: self._tell_changed,
            Updated: self._tell_updated,
            Notice: self._tell_notice,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            SessionEnded: self._forget_session,
            Missed: self._tell_missed,
            Open: self._open,
            Grant: self._grant,
            Finish: self._finish,
            Released: self._forget,
            EndsDue: self._end_answered,
        }
        self.accept_threads()

    # --- facts that others read -------------------------------------------------------

    @property
    def listens(self) -> int:
        """The listens in flight, of all sessions."""
        return len(self._listens)

    @property
    def watched(self) -> int:
        """The subscriptions to resources, of all sessions and listens."""
        return self._register.size

    def snapshot_of_all(self, most: int | None) -> SubscriptionsSnapshot:
        """Take a snapshot of the listens and the watched resources, of at most that many each."""
        from trimcp.server.features.subscriptions.snapshot import SubscriptionsSnapshot

        uris = self._register.uris
        return SubscriptionsSnapshot(
            listens=self._listens.snapshots(most),
            listens_open=len(self._listens),
            uris=tuple((uri, self._register.sessions_of(uri)) for uri in uris[:most]),
            uris_watched=len(uris),
        )

    def is_watched(self, key: tuple[str, str]) -> bool:
        """Whether a listen watches the key of a topic."""
        return key in self._register

    def watched_keys(self, topic: str) -> Sequence[str]:
        """The keys of a topic that listens watch."""
        return self._register.keys(topic)

    def _has_room(self, session: Peer, uri: str) -> bool:
        """Return False if a legacy session has subscribed to a resource already.

        Raises:
            RequestFailed: the session has no room for one more subscription.
        """
        if self._register.has(session, uri):
            return False
        self._register.check_room(session, 1)
        return True

    # --- changes, from any thread -----------------------------------------------------

    def changed(self, feature: Feature) -> None:
        """Notify all clients that the list of a feature has changed, if the server has the feature."""
        if feature in LISTS:
            self.tell_from_thread(Changed(feature), coalesce=True)

    def updated(self, uri: str) -> None:
        """Notify the subscribers of a resource that it has changed."""
        if self._poster.is_shared or uri in self._register:  # alone, subscriptions bound the messages of threads
            self.tell_from_thread(Updated(uri), coalesce=True)

    def notify(
        self,
        identifier: str,
        notification: ExtensionNotification[Any],
        params: Any,
        watched: tuple[str, str] | None,
        *,
        everywhere: bool = True,
    ) -> None:
        """Send a notification of an extension: to the listens that watch a key or, if None, to legacy sessions.

        `everywhere`: whether the clients of other nodes get it too.

        Raises:
            InvalidPayload: the params have no form in JSON.
        """
        everywhere = everywhere and self._poster.is_shared
        if watched is not None and watched not in self._register and not everywhere:
            return
        notice = Notice(notification.name, watched, everywhere)
        self._frames[notice] = EncodedNotice.of(
            identifier, notification, params, self._revisions, is_watched=watched is not None
        )
        self.tell_from_thread(notice, coalesce=True)

    # --- legacy subscriptions ---------------------------------------------------------

    async def subscribe(self, request: InboundRequest, uri: str) -> bool:
        """Subscribe the session of a request to a resource. Returns False if it has the subscription already.

        Raises:
            InvalidParams: the URI is too long, or the client may not subscribe to it.
            RequestFailed: the session has too many subscriptions, or is over; the function of the user raised it.
        """
        self._grants.check_uris([uri])
        if not self._has_room(request.session, uri):
            return False
        reply: Reply[None] = Reply()
        if self._grants.calls_user_about_uris:
            self._ask_user(SubscribeApproval(request, uri, reply, self._grants, self))
        else:
            self.subscription_granted(request, uri, reply)
        await reply.wait()
        return True

    def subscription_granted(self, request: InboundRequest, uri: str, reply: Reply[None]) -> None:
        """Add the subscription of a legacy session, and set the reply."""
        self.tell(Subscribe(request.session, uri, reply))

    def unsubscribe(self, session: Peer, uri: str) -> None:
        """Remove the subscription of a legacy session, if it has one."""
        self.tell(Unsubscribe(session, uri))

    def session_ended(self, session: Peer) -> None:
        """Remove the subscriptions of a legacy session. Its listens are released one by one."""
        if self._register.has_any(session):
            self.tell(SessionEnded(session))

    def missed_changes(self, session: Peer) -> None:
        """Tell a legacy session that everything that it watches may have changed."""
        self.tell(Missed(session))

    def resubscribe(self, session: Peer, uris: Iterable[str], *, is_on: bool, is_late: bool = False) -> None:
        """Subscribe a legacy session to resources as it has done at another node, or unsubscribe it.

        `is_late`: whether changes of the resources may have been missed, so that new ones count as changed.
        """
        for uri in uris:
            if is_on:
                self.tell(Subscribe(session, uri, Reply(), is_late))
            else:
                self.tell(Unsubscribe(session, uri))

    # --- LongLived: subscriptions/listen ----------------------------------------------

    def open(self, request: InboundRequest, params: SubscriptionsListenRequestParams) -> None:
        """Refuse or acknowledge a listen: at once, or after the functions of the user. See `LongLived`."""
        self.tell(Open(request, params.notifications))

    def listen_granted(self, request: InboundRequest, granted: GrantedListen) -> None:
        """Acknowledge a listen, for which the functions of the user have granted these changes."""
        self.tell(Grant(request, granted))

    def finish(self, request: InboundRequest) -> None:
        """End a listen by its result, since the session drains. See `LongLived`."""
        self.tell(Finish(request))

    def released(self, request: InboundRequest) -> None:
        """Remove a listen that is over. See `LongLived`."""
        self.tell(Released(request))

    def ends_due(self) -> None:
        """End the answered listens whose time has come."""
        self.tell(EndsDue())

    # --- the actor ----------------------------------------------------------------------

    def handle(self, message: BusMessage) -> None:
        """See `Actor`."""
        self._handlers[type(message)](message)

    def _tell_changed(self, message: Changed) -> None:
        self._poster.changed(message.feature)

    def _tell_updated(self, message: Updated) -> None:
        self._poster.updated(message.uri)

    def _tell_notice(self, notice: Notice) -> None:
        newest = self._frames.pop(notice, None)
        if newest is not None:  # otherwise an earlier message has posted the newest frames
            self._poster.noticed(notice.name, newest, notice.watched, everywhere=notice.everywhere)

    def _tell_missed(self, message: Missed) -> None:
        self._poster.missed_by(message.session)

    # --- legacy subscriptions ---------------------------------------------------------

    def _subscribe(self, message: Subscribe) -> None:
        session, uri, reply = message.session, message.uri, message.reply
        if session.end is not None:  # nothing would remove the subscription any more
            reply.fail(busy("the session is over"))
            return
        try:
            if self._has_room(session, uri):
                self._register.subscribe(session, uri)
                if message.is_late:
                    self._poster.updated_for(session, uri)
        except RequestFailed as exc:
            reply.fail(exc)
        else:
            reply.set(None)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        self._register.unsubscribe(message.session, message.uri)

    def _forget_session(self, message: SessionEnded) -> None:
        self._register.remove_session(message.session)

    # --- listens ----------------------------------------------------------------------

    def _open(self, message: Open) -> None:
        request, wanted = message.request, message.wanted
        if self._listens.open(request, wanted):
            self._ask_user(ListenApproval(request, wanted, self._grants, self))

    def _ask_user(self, approval: Approval) -> None:
        try:
            self._approvals.post(approval)
        except trio.WouldBlock:  # full of approvals for listens that were cancelled in the same turn
            approval.failed(busy("too many listens come and go"))

    def _grant(self, message: Grant) -> None:
        self._listens.granted(message.request, message.granted)

    def _finish(self, message: Finish) -> None:
        self._listens.finish(message.request)
        self._ends.wait_until(self._listens.next_end)

    def _forget(self, message: Released) -> None:
        self._listens.forget(message.request)

    def _end_answered(self, _: EndsDue) -> None:
        self._listens.end_answered(trio.current_time())
        self._ends.wait_until(self._listens.next_end)
