"""The notifications of changes, each encoded once for all sessions and listens that get it.

basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import codec_for
from trimcp.server.features import Feature
from trimcp.types.metadata import SUBSCRIPTION_ID
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.types.extensions import ExtensionNotification
    from trimcp.types.revisions import Revision

LISTS: Final[tuple[Feature, ...]] = ("tools", "prompts", "resources")
"""The features with a list that can change."""

LONGEST_ID: Final = 128
"""The most bytes in the id of a listen, as JSON: each notice carries the id."""
NOTICE: Final = 256 + LONGEST_ID
"""A bound on the bytes of a notice beside its URI."""

UPDATED: Final = "notifications/resources/updated"

Watched = str | tuple[str, str]
"""A resource, by its URI, or a key of a topic of an extension, as (topic, key)."""
About = tuple[str, ...]
"""The subject of a notice. A notice replaces one of the same subject that has not left yet."""
Frame = tuple[bytes, bytes]
"""A notice for listens: the bytes before and after the subscription id."""

_ID_GOES_HERE: Final = b'"@"'


def about(watched: Watched) -> About:
    """Return the subject of a notice about a resource, or about a key of a topic."""
    return (UPDATED, watched) if isinstance(watched, str) else ("extension", *watched)


@functools.cache
def list_changed(feature: Feature) -> tuple[str, bytes, Frame]:
    """Encode the notice that a list has changed: its method, the message for sessions, the frame for listens."""
    method = f"notifications/{feature}/list_changed"
    return method, encode_notification(method, None), frame_of(method, {})


def frame_of(method: str, params: dict[str, Any]) -> Frame:
    """Encode a notice for listens, once for all of them."""
    meta = {SUBSCRIPTION_ID: "@", **params.pop("_meta", {})}  # the id comes first: later text may look like its place
    encoded = encode_notification(method, {"_meta": meta, **params})
    head, _, tail = encoded.partition(_ID_GOES_HERE)
    return head, tail


@attrs.frozen(eq=False, repr=False)
class EncodedNotice:
    """A notification of an extension, encoded once for each revision that has it."""

    identifier: str
    """The identifier of the extension."""
    by_revision: Mapping[Revision, bytes | Frame]
    """The messages for legacy sessions, or the frames for listens."""

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
        """Encode a notification: for the listens that watch a key, or for legacy sessions.

        Raises:
            InvalidPayload: the params have no form in JSON.
        """
        from trimcp.codec.extension_payloads import params_encoder

        era, name = Era.MODERN if is_watched else Era.LEGACY, notification.name
        frames: dict[Revision, bytes | Frame] = {}
        for revision in revisions:
            if revision.era is era and (is_watched or notification.exists_in(revision)):
                encoded = params_encoder(codec_for(revision), notification.params)(params)
                frames[revision] = frame_of(name, encoded) if is_watched else encode_notification(name, encoded)
        return cls(identifier, frames)

    # --- as data, for other nodes -----------------------------------------------------

    def dump(self) -> list[Any]:
        """Return the notice as JSON values."""
        frames = {
            revision.version: frame.decode() if isinstance(frame, bytes) else [part.decode() for part in frame]
            for revision, frame in self.by_revision.items()
        }
        return [self.identifier, frames]

    @classmethod
    def load(cls, dumped: list[Any], revisions: Mapping[str, Revision]) -> EncodedNotice:
        """Read what `dump` has returned; `revisions`: those that are offered here, by version."""
        identifier, frames = dumped
        return cls(
            identifier,
            {
                revisions[version]: frame.encode() if type(frame) is str else (frame[0].encode(), frame[1].encode())
                for version, frame in frames.items()
                if version in revisions
            },
        )
