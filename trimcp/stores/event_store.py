"""The event store: events of streams, kept for clients that lose a connection.

basic/transports of 2025-03-26 to 2025-11-25, "Resumability and Redelivery". Streams are numbered in their session,
and events in their stream, upwards from 1 and without gaps.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Final

import attrs

SETTLED: Final = -1
"""The incarnation of a stream that was settled: it has no writer any more."""


@attrs.frozen
class EventBatch:
    """Holds consecutive events of one stream, as `EventStore.append` takes them."""

    session: str
    """The id of the session, which is a secret of its client: hash it before it is written anywhere."""
    stream: int
    first: int
    """The number of the first event; for a batch without events, of the event that would follow."""
    events: tuple[bytes, ...]
    """As they were sent, each with its `id:` line and the empty line at its end. A first batch without events, with
    `first=1`, opens the stream, so that it can be settled."""
    is_last: bool = False
    """Whether the stream has ended with them."""
    incarnation: int = 0
    """The node that writes the stream; 0 where only one process serves."""
    owed: tuple[bytes, ...] = ()
    """In the first batch of a stream: the ids of the requests that the stream will answer, as JSON."""

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.first + len(self.events) - 1


@attrs.frozen
class StoredEvents:
    """Holds the events of one stream after a given number, as `EventStore.replay` returns them."""

    events: tuple[tuple[int, bytes], ...]
    """Number and event, in order and without gaps."""
    is_finished: bool = False
    """Whether the stream has ended with them. False where the store does not know."""
    incarnation: int = 0
    """The node that writes the stream, as its first batch says; `SETTLED` where it was settled."""
    owed: tuple[bytes, ...] = ()
    """The ids that the first batch of the stream names."""


class AppendFailed(Exception):
    """A store could keep only some of the batches that it was given.

    Attributes:
        batches: the ones that were not kept: the same objects that `append` was given.
    """

    def __init__(self, batches: Sequence[EventBatch]) -> None:
        super().__init__(f"{len(batches)} batches of events were not kept")
        self.batches: tuple[EventBatch, ...] = tuple(batches)


class EventStore(abc.ABC):
    """Keeps the events of streams for as long as a client may ask for them again.

    A store may forget events, the oldest of a stream first: the client is then told that the stream cannot be resumed.
    It may raise any exception, and take long: trimcp gives each call a deadline, and goes on without the store.
    """

    @abc.abstractmethod
    async def append(self, batches: Sequence[EventBatch]) -> None:
        """Keep events of one or several streams. They are kept when this returns.

        One call takes events of all sessions, so that a store on a disk or in a network needs one
        commit, or one round trip, for many streams. Each batch is kept whole or not at all. Events with numbers that
        the store has already are ignored. A batch that does not follow the last event of its stream begins the
        stream anew: what was before is forgotten. An empty batch that is the last, and does not follow, says that the
        events between are lost: a replay from before them returns None.

        Raises:
            AppendFailed: some batches were not kept. With any other exception, none was.
        """

    @abc.abstractmethod
    async def replay(self, session: str, stream: int, after: int) -> StoredEvents | None:
        """Return the events of a stream behind number `after`; 0 asks for all.

        Returns None where one of them is not there any more, or where the store knows nothing of the stream. A number
        above the last one is not known either.
        """

    @abc.abstractmethod
    async def forget(self, session: str) -> None:
        """Forget the events of a session, which is over. Idempotent."""


class SharedEventStore(EventStore):
    """Keeps the events of streams for several nodes: each stream has one writer, and is settled if that dies.

    `append` refuses (`AppendFailed`) batches for a stream that has another incarnation or was settled. Numbers of
    streams are unique in their session over all nodes.
    """

    @abc.abstractmethod
    async def settle(self, session: str, stream: int, incarnation: int, events: Sequence[bytes]) -> bool:
        """Append the last events to a stream whose writer, `incarnation`, is dead, and finish the stream.

        The caller has made sure that the lease of the writer has run out. Returns False, and changes nothing, where
        the stream is finished already, has another writer, or is not known: so a stream is settled once.
        """
