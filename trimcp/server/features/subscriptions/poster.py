"""The ChangePoster: posts notices of changes to the clients of this node, and tells the other nodes.

A notice is encoded once for each node. After a gap of the bus, all that is watched here counts as changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trimcp.codec.envelope import encode_notification
from trimcp.protocol.lifecycle import Phase
from trimcp.server.features.subscriptions.notices import (
    LISTS,
    UPDATED,
    EncodedNotice,
    Frame,
    about,
    frame_of,
    list_changed,
)
from trimcp.server.features.subscriptions.register import OpenListen, SubscriptionRegister

if TYPE_CHECKING:
    from trimcp.server.features import Feature
    from trimcp.server.features.subscriptions.grants import SubscriptionGrants
    from trimcp.session.peer import Peer
    from trimcp.stores.node_messages import NodeMessages
    from trimcp.types.revisions import Revision

CHANGED: Final = "changed"
"""The kind of message that a list has changed."""
RESOURCE_UPDATED: Final = "updated"
"""The kind of message that a resource has changed."""
NOTICE: Final = "notice"
"""The kind of message that has a notification of an extension."""


class ChangePoster:
    """Posts notices to sessions and listens. Its methods never wait."""

    def __init__(
        self,
        sessions: Collection[Peer],
        register: SubscriptionRegister,
        grants: SubscriptionGrants,
        revisions: Sequence[Revision],
        messages: NodeMessages | None,
    ) -> None:
        """See `SubscriptionBus`; `register`: the sessions and listens that watch something."""
        self._sessions = sessions
        self._register = register
        self._grants = grants
        self._revisions = {revision.version: revision for revision in revisions}
        self._messages = messages
        if messages is not None:
            messages.add_taker((CHANGED, RESOURCE_UPDATED, NOTICE), self)

    @property
    def is_shared(self) -> bool:
        """Whether clients of other nodes get the changes too."""
        return self._messages is not None

    # --- changes that this node makes -------------------------------------------------

    def changed(self, feature: Feature) -> None:
        """Post that a list has changed."""
        if self._messages is not None:
            self._messages.send(CHANGED, feature, key=(CHANGED, feature))
        self._post_changed(feature)

    def updated(self, uri: str) -> None:
        """Post that a resource has changed."""
        if self._messages is not None:
            self._messages.send(RESOURCE_UPDATED, uri, key=(RESOURCE_UPDATED, uri))
        self._post_updated(uri)

    def noticed(self, name: str, notice: EncodedNotice, watched: tuple[str, str] | None, *, everywhere: bool) -> None:
        """Post a notification of an extension: to the listens that watch a key or, if None, to legacy sessions.

        `everywhere`: whether the clients of other nodes get it too.
        """
        if everywhere and self._messages is not None:
            self._messages.send(NOTICE, name, watched, notice.dump(), key=(NOTICE, name, watched))
        self._post_notice(name, notice, watched)

    # --- MessageTaker: changes that other nodes make ----------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`."""
        if kind == CHANGED:
            self._post_changed(content[0])
        elif kind == RESOURCE_UPDATED:
            self._post_updated(content[0])
        else:
            name, watched, dumped = content
            key = None if watched is None else (str(watched[0]), str(watched[1]))
            self._post_notice(name, EncodedNotice.load(dumped, self._revisions), key)

    def take_gap(self) -> None:
        """See `MessageTaker`. Which changes were lost is not known."""
        for feature in LISTS:
            self._post_changed(feature)
        for uri in self._register.uris:
            self._post_updated(uri)

    def missed_by(self, session: Peer) -> None:
        """Post to one session alone that all that it watches has changed."""
        if session.handshake.phase is not Phase.READY:
            return
        for feature in LISTS:
            if self._grants.offers(feature):
                method, encoded, _ = list_changed(feature)
                session.writer.post_latest(method, encoded)
        for uri in self._register.uris_of(session):
            self.updated_for(session, uri)

    # --- to the clients of this node --------------------------------------------------

    def _post_changed(self, feature: Feature) -> None:
        if not self._grants.offers(feature):
            return
        method, encoded, frame = list_changed(feature)
        for session in self._sessions:
            if session.handshake.phase is Phase.READY:
                session.writer.post_latest(method, encoded)
        for listen in self._register.listens(feature):
            listen.post((feature,), frame)

    def _post_updated(self, uri: str) -> None:
        encoded: bytes | None = None
        frame: Frame | None = None
        for watcher in self._register.watchers(uri):
            if type(watcher) is OpenListen:
                if frame is None:
                    frame = frame_of(UPDATED, {"uri": uri})
                watcher.post(about(uri), frame)
            else:
                if encoded is None:
                    encoded = encode_notification(UPDATED, {"uri": uri})
                watcher.writer.post_latest(about(uri), encoded)  # type: ignore[union-attr]  # a Session

    def updated_for(self, session: Peer, uri: str) -> None:
        """Post to one session alone that a resource has changed."""
        session.writer.post_latest(about(uri), encode_notification(UPDATED, {"uri": uri}))

    def _post_notice(self, name: str, notice: EncodedNotice, watched: tuple[str, str] | None) -> None:
        from trimcp.types.extensions import declared_in

        by_revision: Mapping[Revision, bytes | Frame] = notice.by_revision
        if watched is None:
            for session in self._sessions:
                client, revision = session.client, session.revision
                message = None if revision is None else by_revision.get(revision)
                if (
                    isinstance(message, bytes)
                    and client is not None
                    and session.handshake.phase is Phase.READY
                    and notice.identifier in declared_in(client.capabilities)
                ):
                    session.writer.post_latest(name, message)
            return
        for watcher in self._register.watchers(watched):
            if type(watcher) is OpenListen:
                frame = by_revision.get(watcher.revision)
                if isinstance(frame, tuple):
                    watcher.post(about(watched), frame)
