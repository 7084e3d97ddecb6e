"""The ids of events, by which clients that lost a connection ask for the events they missed.

basic/transports of 2025-03-26 to 2025-11-25, "Resumability and Redelivery". An id is good for the session whose tag it
has, and is checked before a store is asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from trimcp.framing.sse import encode_event
from trimcp.stores.secret_store import Secrets
from trimcp.stores.server_secrets import ServerSecrets

TAG_PURPOSE: Final = b"trimcp event ids 1"
"""The purpose of the key that tags are made with."""
_TAG_BYTES: Final = 9
_EVENT_ID: Final = re.compile(rb"([A-Za-z0-9_-]{12})\.(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,17})")


def make_tag(secret: bytes, session: str) -> bytes:
    """Make the tag that the event ids of a session begin with.

    It does not reveal the session's id, which is a secret of its client, and cannot be made without `secret` (64 bytes
    at most).
    """
    digest = hashlib.blake2b(session.encode(), key=secret, digest_size=_TAG_BYTES).digest()
    return base64.urlsafe_b64encode(digest)


class SessionTags:
    """Makes the tags of one session, with the secrets of the server as they are now."""

    __slots__ = ("_made_from", "_secrets", "_session", "_tags")

    def __init__(self, secrets: ServerSecrets, session: str) -> None:
        self._secrets = secrets
        self._session = session
        self._made_from: Secrets | None = None
        self._tags: Sequence[bytes] = ()

    @property
    def all(self) -> Sequence[bytes]:
        """The tags of all its event ids, newest first."""
        current = self._secrets.current
        if self._made_from is not current:
            self._made_from = current
            self._tags = [make_tag(key, self._session) for key in current.derive(TAG_PURPOSE)]
        return self._tags

    @property
    def newest(self) -> bytes:
        """The tag of new event ids."""
        return self._tags[0] if self._made_from is self._secrets.current else self.all[0]


def make_event_id(tag: bytes, stream: int, number: int) -> bytes:
    """Make the id of an event from the tag of its session, its stream, and its number in the stream."""
    return b"%b.%d.%d" % (tag, stream, number)


def numbered_event(tag: bytes, stream: int, number: int, data: bytes) -> bytes:
    """Write an event with its id: `encode_event` in one step, for data of one line, as JSON-RPC messages are."""
    if b"\n" in data or b"\r" in data:
        return encode_event(data, id=make_event_id(tag, stream, number))
    return b"id: %b.%d.%d\ndata: %b\n\n" % (tag, stream, number, data)


def read_event_id(tags: Sequence[bytes], text: bytes | str) -> tuple[int, int] | None:
    """Return the stream and the number in an event id; None if it has no tag of this session."""
    raw = text.encode() if isinstance(text, str) else text
    match = _EVENT_ID.fullmatch(raw)
    if match is None or not any(hmac.compare_digest(match[1], tag) for tag in tags):
        return None
    return int(match[2]), int(match[3])
