"""The ids of events, by which clients that lost a connection ask for what they missed.

basic/transports of 2025-03-26 to 2025-11-25, "Resumability and Redelivery". Who may ask for which session is
decided before: an id is good for the session whose tag it has, and is checked before a store is asked. The stores
are in `trimcp.stores`; their names are here too, where the first interface had them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

from trimcp.stores.event_store import EventStore
from trimcp.stores.memory_events import MemoryEventStore

__all__ = ["EventStore", "MemoryEventStore", "make_event_id", "make_tag", "read_event_id"]

TAG_PURPOSE: Final = b"trimcp event ids 1"
"""What the secret of the tags is derived for."""
_TAG_BYTES: Final = 9
_EVENT_ID: Final = re.compile(rb"([A-Za-z0-9_-]{12})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})")


def make_tag(secret: bytes, session: str) -> bytes:
    """What the event ids of a session begin with.

    It tells nothing of the session's id, which is a secret of its client, and nobody makes one
    without `secret` (64 bytes at most).
    """
    digest = hashlib.blake2b(session.encode(), key=secret, digest_size=_TAG_BYTES).digest()
    return base64.urlsafe_b64encode(digest)


def make_event_id(tag: bytes, stream: int, number: int) -> bytes:
    """The id of an event: the session by its tag, the stream, the number there."""
    return b"%b.%d.%d" % (tag, stream, number)


def read_event_id(tag: bytes, text: bytes | str) -> tuple[int, int] | None:
    """The stream and the number that an event id names; None where it is none of this session's."""
    raw = text.encode() if isinstance(text, str) else text
    match = _EVENT_ID.fullmatch(raw)
    if match is None or not hmac.compare_digest(match[1], tag):
        return None
    return int(match[2]), int(match[3])
