"""The event store: events of streams, kept for clients that lose a connection.

basic/transports of 2025-03-26 to 2025-11-25, "Resumability and Redelivery". Streams are numbered in their session,
and events in their stream, upwards from 1 and without gaps.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import attrs


@attrs.frozen
class EventBatch:
    """Consecutive events of one stream, as `EventStore.append` takes them."""

    session: str
    """The id of the session, which is a secret of its client: hash it before it is written anywhere."""
    stream: int
    first: int
    """The number of the first event; of the event that would have followed, where there are none."""
    events: tuple[bytes, ...]
    """As they were sent, each with its `id:` line and the empty line at its end."""
    is_last: bool = False
    """Whether the stream has ended with them."""

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.first + len(self.events) - 1


@attrs.frozen
class StoredEvents:
    """The events of one stream after a given number, as `EventStore.replay` returns them."""

    events: tuple[tuple[int, bytes], ...]
    """Number and event, in order and without gaps."""
    is_finished: bool = False
    """Whether the stream has ended with them. False where the store does not know."""


class AppendFailed(Exception):
    """A store could keep only a part of what it was given.

    Attributes:
        batches: those that were not kept: the same objects that `append` was given.
    """

    def __init__(self, batches: Sequence[EventBatch]) -> None:
        super().__init__(f"{len(batches)} batches of events were not kept")
        self.batches = tuple(batches)


class EventStore(abc.ABC):
    """Keeps the events of streams for as long as they may be asked for again.

    A store may forget what it has no room or no time for, the oldest events of a stream first: the client is then
    told that the stream cannot be resumed. It may raise anything, and take its time: trimcp gives each call a
    deadline, and goes on without the store.
    """

    @abc.abstractmethod
    async def append(self, batches: Sequence[EventBatch]) -> None:
        """Keep events of one or several streams. They are kept when this returns.

        One call takes what has come together from all sessions, so that a store on a disk or in a network needs one
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
