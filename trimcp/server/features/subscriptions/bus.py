"""The SubscriptionBus: the actor that owns who is told of which change, for all sessions of one run of a server.

One call tells every client, whatever its era: a legacy session hears of the lists by right, and of the
resources it subscribed to; a modern client of the changes that its `subscriptions/listen` was granted. A
listen stays in flight without a task of its own. The bus gets its task with the first message.

server/resources and the list-changed parts of server/{tools,prompts} in every revision;
basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.actors.reply import Reply
from trimcp.codec.envelope import encode_notification
from trimcp.errors import RequestFailed
from trimcp.protocol.lifecycle import Phase
from trimcp.server.features.subscriptions.ask_user import AskAboutListen, AskAboutSubscription
from trimcp.server.features.subscriptions.listener import (
    LISTS,
    UPDATED,
    EncodedNotice,
    Frame,
    Listener,
    about,
    frame_of,
    list_changed,
)
from trimcp.server.features.subscriptions.open_listens import OpenListens, refuse
from trimcp.server.features.subscriptions.register import SubscriptionRegister, busy
from trimcp.session.request import InboundRequest

if TYPE_CHECKING:
    from trimcp.actors.supervisor import Supervisor
    from trimcp.server.features.kinds import Kind
    from trimcp.server.features.subscriptions.grants import Granted, Grants
    from trimcp.session.limits import Limits
    from trimcp.session.session import Session
    from trimcp.types.extensions import ExtensionNotification
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionFilter, SubscriptionsListenRequestParams


@attrs.frozen
class _Changed:
    """A list has changed. Equal ones that wait are one, as `_Updated` and `_Notice` are."""

    kind: Kind


@attrs.frozen
class _Updated:
    """A resource has changed."""

    uri: str


@attrs.frozen
class _Notice:
    """An extension has something to tell; the newest frames of that name and key are in `_frames`."""

    name: str
    watched: tuple[str, str] | None


@attrs.frozen
class _Subscribe:
    session: Session
    uri: str
    reply: Reply[None]


@attrs.frozen
class _Unsubscribe:
    session: Session
    uri: str
    reply: Reply[None]


@attrs.frozen
class _Open:
    """A listen has come in."""

    request: InboundRequest
    wanted: SubscriptionFilter


@attrs.frozen
class _Grant:
    """The functions of the user have said what a listen may be told of."""

    request: InboundRequest
    granted: Granted


@attrs.frozen
class _Finish:
    """The session of a listen drains."""

    request: InboundRequest


@attrs.frozen
class _Released:
    """A listen is over: answered, refused or cancelled."""

    request: InboundRequest


@attrs.frozen
class _SessionEnded:
    session: Session


_Message = (
    _Changed | _Updated | _Notice | _Subscribe | _Unsubscribe | _Open | _Grant | _Finish | _Released | _SessionEnded
)


class SubscriptionBus(Actor[_Message]):
    """Tells sessions and listens of changes. Every door is synchronous, but those that wait for a reply."""

    name = "subscription bus"

    def __init__(
        self,
        supervisor: Supervisor,
        sessions: Collection[Session],
        grants: Grants,
        limits: Limits,
        revisions: Sequence[Revision],
    ) -> None:
        """
        Args:
            supervisor: of the run.
            sessions: the legacy sessions of the run, as they come and go.
            grants: the rules on who is told of what.
            limits: of the server.
            revisions: that the server offers.
        """
        super().__init__(supervisor, Mailbox(_capacity(limits), Overflow.REPLACE, key=_key))
        self._sessions = sessions
        self._grants = grants
        self._limits = limits
        self._revisions = revisions
        self._register = SubscriptionRegister(limits.subscriptions)
        self._users = supervisor.open_pool("who may subscribe", 2 * limits.server_listens + 2 * limits.server_requests)
        self._listens = OpenListens(limits, grants, self._register)
        self._known: dict[Session, set[InboundRequest]] = {}  # of `open`: those that the mailbox may have messages of
        self._known_in_all = 0
        self._frames: dict[_Notice, EncodedNotice] = {}
        self.accept_threads()

    # --- facts that others read -------------------------------------------------------

    @property
    def listens(self) -> int:
        """Listens in flight, of all sessions."""
        return len(self._listens)

    @property
    def watched(self) -> int:
        """Subscriptions to resources, of all sessions and listens."""
        return self._register.size

    def check_room(self, session: Session, uri: str) -> bool:
        """Whether a legacy session has not subscribed to a resource yet, and may.

        Raises:
            RequestFailed: it has as many subscriptions as it may.
        """
        if self._register.has(session, uri):
            return False
        self._register.check_room(session, 1)
        return True

    # --- changes, from any thread -----------------------------------------------------

    def changed(self, kind: Kind) -> None:
        """Tell every client that a list has changed, by the name of the capability.

        Nothing happens where the server does not have the feature, and so has not declared it.
        """
        if kind in LISTS:
            self.tell_from_thread(_Changed(kind), coalesce=True)

    def updated(self, uri: str) -> None:
        """Tell the clients that subscribed to a resource that it has changed."""
        if uri in self._register:  # so that the messages that wait are bounded by what is watched
            self.tell_from_thread(_Updated(uri), coalesce=True)

    def notify(
        self,
        identifier: str,
        notification: ExtensionNotification[Any],
        params: Any,
        watched: tuple[str, str] | None,
    ) -> None:
        """Tell a notification of an extension: to the listens that watch a key or, if None, to legacy sessions.

        Raises:
            InvalidPayload: the params have no form in JSON.
        """
        if watched is not None and watched not in self._register:
            return
        notice = _Notice(notification.name, watched)
        self._frames[notice] = EncodedNotice.of(
            identifier, notification, params, self._revisions, is_watched=watched is not None
        )
        self.tell_from_thread(notice, coalesce=True)

    # --- legacy subscriptions ---------------------------------------------------------

    async def subscribe(self, request: InboundRequest, uri: str) -> None:
        """Tell the session of a request of the changes of a resource. A second time changes nothing.

        Raises:
            RequestFailed: it has as many subscriptions as it may, it may not have this one, or it is over.
        """
        reply: Reply[None] = Reply()
        if self._grants.calls_user_about_uris:
            self._users.post(AskAboutSubscription(request, uri, reply, self._grants, self))
        else:
            self.subscription_granted(request, uri, reply)
        await reply.wait()

    def subscription_granted(self, request: InboundRequest, uri: str, reply: Reply[None]) -> None:
        """Make the subscription of a legacy session, and set the reply."""
        try:
            self.tell(_Subscribe(request.session, uri, reply))
        except MailboxFull:
            reply.fail(busy("too many subscriptions come and go"))

    async def unsubscribe(self, session: Session, uri: str) -> None:
        """Tell a legacy session no more of a resource, also where it was not told of it."""
        reply: Reply[None] = Reply()
        try:
            self.tell(_Unsubscribe(session, uri, reply))
        except MailboxFull:
            raise busy("too many subscriptions come and go") from None
        await reply.wait()

    def session_ended(self, session: Session) -> None:
        """Forget a legacy session. Its listens are released one by one."""
        if self._register.has_any(session):
            self.tell(_SessionEnded(session))

    # --- LongLived: subscriptions/listen ----------------------------------------------

    def open(self, request: InboundRequest, params: SubscriptionsListenRequestParams) -> None:
        """See `LongLived`: answer a listen later."""
        session, limits = request.session, self._limits
        # Twice the limits, which `OpenListens` keeps to the letter: this bounds the messages of those that come and go.
        of_session = len(self._known.get(session, ()))
        if of_session >= 2 * limits.listens or self._known_in_all >= 2 * limits.server_listens:
            refuse(request, busy("too many listens come and go"))
            return
        self._known.setdefault(session, set()).add(request)
        self._known_in_all += 1
        self.tell(_Open(request, params.notifications))

    def listen_granted(self, request: InboundRequest, granted: Granted) -> None:
        """Acknowledge a listen, of which the functions of the user have granted this much."""
        self.tell(_Grant(request, granted))

    def finish(self, request: InboundRequest) -> None:
        """See `LongLived`: the session drains."""
        if request in self._known.get(request.session, ()):
            self.tell(_Finish(request))

    def released(self, request: InboundRequest) -> None:
        """See `LongLived`: the request is over."""
        if request in self._known.get(request.session, ()):
            self.tell(_Released(request))

    # --- the actor's own task ---------------------------------------------------------

    async def run(self) -> None:
        """Handle messages, and end listens that were answered, until cancelled."""
        mailbox = self.mailbox
        while True:
            due = self._listens.next_end
            if due is not None:
                with trio.move_on_at(due):
                    self.handle(await mailbox.receive())
            else:
                self.handle(await mailbox.receive())
            while mailbox.waiting:
                self.handle(mailbox.receive_nowait())
            self._listens.end_answered(trio.current_time())

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Updated(uri):
                self._tell_updated(uri)
            case _Changed(kind):
                self._tell_changed(kind)
            case _Notice():
                self._tell_notice(message)
            case _Open(request, wanted):
                self._open(request, wanted)
            case _Grant(request, granted):
                self._listens.granted(request, granted)
            case _Finish(request):
                self._listens.finish(request)
            case _Released(request):
                self._forget(request)
            case _Subscribe(session, uri, reply):
                self._subscribe(session, uri, reply)
            case _Unsubscribe(session, uri, reply):
                self._register.unsubscribe(session, uri)
                reply.set(None)
            case _SessionEnded(session):
                self._register.remove_session(session)

    def _tell_changed(self, kind: Kind) -> None:
        if not self._grants.offers(kind):
            return
        method, message, frame = list_changed(kind)
        for session in self._sessions:
            if session.handshake.phase is Phase.READY:
                session.writer.post_latest(method, message)
        for listener in self._register.listeners(kind):
            listener.tell((kind,), frame)

    def _tell_updated(self, uri: str) -> None:
        message: bytes | None = None
        frame: Frame | None = None
        for watcher in self._register.watchers(uri):
            if type(watcher) is Listener:
                if frame is None:
                    frame = frame_of(UPDATED, {"uri": uri})
                watcher.tell(about(uri), frame)
            else:
                if message is None:
                    message = encode_notification(UPDATED, {"uri": uri})
                watcher.writer.post_latest(about(uri), message)  # type: ignore[union-attr]  # a Session

    def _tell_notice(self, notice: _Notice) -> None:
        from trimcp.types.extensions import declared_in

        told = self._frames.pop(notice, None)
        if told is None:  # an earlier message has told the newest already
            return
        if notice.watched is None:
            for session in self._sessions:
                client, revision = session.client, session.revision
                message = None if revision is None else told.by_revision.get(revision)
                if (
                    isinstance(message, bytes)
                    and client is not None
                    and session.handshake.phase is Phase.READY
                    and told.identifier in declared_in(client.capabilities)
                ):
                    session.writer.post_latest(notice.name, message)
            return
        for watcher in self._register.watchers(notice.watched):
            if type(watcher) is Listener:
                frame = told.by_revision.get(watcher.revision)
                if isinstance(frame, tuple):
                    watcher.tell(about(notice.watched), frame)

    def _subscribe(self, session: Session, uri: str, reply: Reply[None]) -> None:
        if session.end is not None:  # nothing of it would be forgotten any more
            reply.fail(busy("the session is over"))
            return
        try:
            if self.check_room(session, uri):
                self._register.subscribe(session, uri)
        except RequestFailed as exc:
            reply.fail(exc)
        else:
            reply.set(None)

    # --- listens ----------------------------------------------------------------------

    def _open(self, request: InboundRequest, wanted: SubscriptionFilter) -> None:
        if self._listens.open(request, wanted):
            self._users.post(AskAboutListen(request, wanted, self._grants, self))

    def _forget(self, request: InboundRequest) -> None:
        known = self._known.get(request.session, set())
        if request not in known:  # told twice
            return
        known.remove(request)
        self._known_in_all -= 1
        if not known:
            del self._known[request.session]
        self._listens.forget(request)


def _key(message: _Message) -> _Message | None:
    """Notices replace the equal ones that wait; each other message counts."""
    return message if isinstance(message, _Changed | _Updated | _Notice) else None


def _capacity(limits: Limits) -> int:
    """More messages than can wait, since senders keep to bounds of their own. No place is taken until it is used."""
    most_sessions = limits.sessions + limits.server_listens
    notices = 2 * most_sessions * limits.subscriptions + 1024  # one for each resource, list and extension
    listens = 4 * 2 * limits.server_listens  # opened, granted, finished, released
    legacy = 2 * limits.server_requests + limits.sessions  # subscribed or unsubscribed by a request; ended
    return notices + listens + legacy
