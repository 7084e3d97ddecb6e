"""One `subscriptions/listen` that is in flight, and the notices on its stream.

basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.codec.envelope import encode_notification
from trimcp.codec.jsontext import dumps
from trimcp.codec.revisions import codec_for
from trimcp.session.request import InboundRequest
from trimcp.types.metadata import SUBSCRIPTION_ID
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.server.features.kinds import Kind
    from trimcp.session.session import Session
    from trimcp.types.extensions import ExtensionNotification
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionFilter

LISTS: Final[tuple[Kind, ...]] = ("tools", "prompts", "resources")
"""The features with a list that may change."""

LONGEST_ID: Final = 128
"""Bytes of the id of a listen, as JSON: every notice carries it."""
NOTICE: Final = 256 + LONGEST_ID
"""More than the bytes of a notice beside its URI."""

UPDATED: Final = "notifications/resources/updated"

Watched = str | tuple[str, str]
"""A resource, by its URI, or a key of a topic that an extension has, as (topic, key)."""
About = tuple[str, ...]
"""The subject of a notice: of several with one subject, only the newest leaves."""
Frame = tuple[bytes, bytes]
"""A notice for listens: the bytes before and after the subscription id, which alone differs."""

_ID_GOES_HERE: Final = b'"@"'


class Listener:
    """A listen that was acknowledged: its request, and the changes that it is told of."""

    __slots__ = ("_request", "_tag", "kinds", "watched")

    def __init__(self, request: InboundRequest, kinds: tuple[Kind, ...], watched: tuple[Watched, ...]) -> None:
        self._request = request
        # A copy: a value that orjson returns keeps the 4 KiB buffer that it was written in, and this one stays long.
        self._tag = bytes(memoryview(dumps(request.id)))
        self.kinds = kinds
        self.watched = watched

    @property
    def session(self) -> Session:
        """The session, or the stateless peer, that it belongs to."""
        return self._request.session

    @property
    def revision(self) -> Revision:
        """The revision that it is served in."""
        return self._request.revision

    def acknowledge(self, granted: SubscriptionFilter) -> None:
        """Post the filter that was granted: the first message of the listen."""
        notifications = codec_for(self.revision).unstructure(granted)
        params = {"_meta": {SUBSCRIPTION_ID: self._request.id}, "notifications": notifications}
        self._request.outlet.post(encode_notification("notifications/subscriptions/acknowledged", params))

    def tell(self, about: About, frame: Frame) -> None:
        """Post a notice, in place of the one about the same subject that has not left yet."""
        request = self._request
        if request.is_settled:  # answered or cancelled: the bus hears of it a moment later
            return
        head, tail = frame
        request.outlet.post_latest((request.serial, about), head + self._tag + tail)

    def take_back(self) -> None:
        """Drop the notices that have not left: the client has cancelled the listen."""
        abouts = [*((kind,) for kind in self.kinds), *(about(watched) for watched in self.watched)]
        for subject in abouts:
            self._request.outlet.drop((self._request.serial, subject))


def about(watched: Watched) -> About:
    """The subject of a notice about a resource, or about a key of a topic."""
    return (UPDATED, watched) if isinstance(watched, str) else ("extension", *watched)


@functools.cache
def list_changed(kind: Kind) -> tuple[str, bytes, Frame]:
    """The notice that a list has changed: its method, its message for sessions, and its frame for listens."""
    method = f"notifications/{kind}/list_changed"
    return method, encode_notification(method, None), frame_of(method, {})


def frame_of(method: str, params: dict[str, Any]) -> Frame:
    """Encode a notice for listens, once for all of them."""
    meta = {SUBSCRIPTION_ID: "@", **params.pop("_meta", {})}  # the id first: text that follows may look like its place
    encoded = encode_notification(method, {"_meta": meta, **params})
    head, _, tail = encoded.partition(_ID_GOES_HERE)
    return head, tail


@attrs.frozen
class EncodedNotice:
    """The notification of an extension, encoded once for each revision that has it."""

    identifier: str
    """Of the extension."""
    by_revision: Mapping[Revision, bytes | Frame]
    """Messages for legacy sessions, or frames for listens."""

    @classmethod
    def of(
        cls,
        identifier: str,
        notification: ExtensionNotification[Any],
        params: Any,
        revisions: Sequence[Revision],
        *,
        is_watched: bool,
    ) -> EncodedNotice:
        """Encode a notification for the listens that watch a key, or else for legacy sessions.

        Raises:
            InvalidPayload: the params have no form in JSON.
        """
        from trimcp.codec.extensions import params_encoder

        era, name = Era.MODERN if is_watched else Era.LEGACY, notification.name
        frames: dict[Revision, bytes | Frame] = {}
        for revision in revisions:
            if revision.era is era and (is_watched or notification.exists_in(revision)):
                encoded = params_encoder(codec_for(revision), notification.params)(params)
                frames[revision] = frame_of(name, encoded) if is_watched else encode_notification(name, encoded)
        return cls(identifier, frames)
