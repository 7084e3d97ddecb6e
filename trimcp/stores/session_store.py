"""The session store: legacy HTTP sessions as data, so that another process can continue them.

A session is its record (what was agreed, who owns it, its cursor), its subscriptions (`subscription_store`), its
events (`event_store`), and the live object, which is in one process and in no store. basic/transports of 2025-03-26
to 2025-11-25, "Session Management".
"""

from __future__ import annotations

import abc
from collections.abc import Collection
from typing import Any

import attrs

from trimcp.codec.jsontext import dumps, loads
from trimcp.codec.revisions import codec_for
from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.lifecycle import Phase
from trimcp.stores.failures import reading
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.metadata import Implementation
from trimcp.types.revisions import BY_VERSION, Revision

DEPTH = 128
"""The deepest nesting of a record in JSON: capabilities are as deep as the client sent them."""


@attrs.frozen(kw_only=True)
class SessionRecord:
    """Holds one session as data. Times are seconds since the epoch."""

    id: str
    """The value of `Mcp-Session-Id`: a secret of its client."""
    principal: str | None
    """The key of the principal that opened it, who alone may use it; None where it was opened anonymously."""
    opened_at: float
    seen_at: float
    """When its client last sent a message, or had a stream open."""
    version: int = 0
    """Counts updates: an update of a record that another process has updated meanwhile is refused."""
    phase: Phase = Phase.OPENING
    client: ClientProfile | None = None
    """The client and the revision that was agreed; None before `initialize` was answered."""
    has_posted: bool = False
    """Whether the client has posted a message since it opened the session."""
    next_stream: int = 1
    """The cursor: the number of the next event stream, as of the last update. A process that takes the session up
    leaves a gap behind it, since more streams may have been opened since."""

    @property
    def revision(self) -> Revision | None:
        """The revision that was agreed."""
        return None if self.client is None else self.client.revision


@attrs.frozen
class StoredSession:
    """Holds all that a store has of one session."""

    record: SessionRecord
    uris: frozenset[str]
    """The resources that it has subscribed to."""


class SessionStore(abc.ABC):
    """Keeps the records of sessions.

    A store may forget a session that was not touched for its time to live, which must be longer than
    `Limits.session_idle`. It may raise any exception, and take long: trimcp gives each call a deadline. A
    failure of `add` or `find` fails the request, with 503; any other failure is logged, and the session goes on.
    """

    @abc.abstractmethod
    async def add(self, record: SessionRecord) -> None:
        """Keep a new session. It is kept when this returns: the client is told its id only then.

        Raises:
            ValueError: there is a session with that id.
        """

    @abc.abstractmethod
    async def find(self, id: str) -> SessionRecord | None:
        """Return the session with this id, if there is one. The caller checks the principal."""

    @abc.abstractmethod
    async def update(self, record: SessionRecord) -> SessionRecord | None:
        """Replace a record of the same version, and return the new one with the next version.

        Returns None, and changes nothing, where the store has another version, or no such session.
        """

    @abc.abstractmethod
    async def touch(self, ids: Collection[str], seen_at: float) -> None:
        """Restart the time to live of these sessions. Unknown ids are ignored."""

    @abc.abstractmethod
    async def remove(self, id: str) -> None:
        """Forget a session, which is over. Idempotent."""


# --- records as bytes, for stores that keep bytes -----------------------------------------


def encode_record(record: SessionRecord) -> bytes:
    """Encode a record as JSON, without its id, which no store needs to keep in clear."""
    client = record.client
    members: dict[str, Any] = {
        "principal": record.principal,
        "openedAt": record.opened_at,
        "seenAt": record.seen_at,
        "version": record.version,
        "phase": record.phase.value,
        "hasPosted": record.has_posted,
        "nextStream": record.next_stream,
    }
    if client is not None:
        unstructure = codec_for(client.revision).unstructure
        members["client"] = {
            "revision": client.revision.version,
            "capabilities": unstructure(client.capabilities),
            "info": None if client.info is None else unstructure(client.info),
            "logLevel": client.log_level,
        }
    return dumps(members)


def decode_record(id: str, data: bytes, seen_at: float | None = None) -> SessionRecord:
    """Decode a record that `encode_record` has encoded. Members that a newer version has added are ignored.

    `seen_at`: a later time than the one in the record, which a store keeps beside it.

    Raises:
        RecordUnreadable: a member is missing without which the session cannot be served, or has an unknown value.
    """
    with reading("session"):
        members = loads(data, max_depth=DEPTH)
        return SessionRecord(
            id=id,
            principal=members["principal"],
            opened_at=members["openedAt"],
            seen_at=members["seenAt"] if seen_at is None else seen_at,
            version=members["version"],
            phase=Phase(members["phase"]),
            client=_client(members.get("client")),
            has_posted=members.get("hasPosted", True),
            next_stream=members.get("nextStream", 1),
        )


def _client(members: dict[str, Any] | None) -> ClientProfile | None:
    if members is None:
        return None
    revision = BY_VERSION[members["revision"]]
    structure = codec_for(revision).structure
    info = members.get("info")
    return ClientProfile(
        revision,
        structure(members["capabilities"], ClientCapabilities),
        None if info is None else structure(info, Implementation),
        members.get("logLevel"),
    )
