"""Snapshots of mailboxes, actors, pools and supervisors: their states at one moment, as frozen data.

Imported when the first snapshot is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

State = Literal["idle", "running", "in turn", "ended"]
"""`idle`: not started, since it was told no message yet. `in turn`: declared to have no task."""


@attrs.frozen
class MailboxStatistics:
    """Holds the state of a mailbox at one moment. Sizes are bytes."""

    capacity: int
    waiting: int
    """Messages that wait for the receiver."""
    waiting_bytes: int
    """Of the messages that were put in since the receiver last took all."""
    told: int
    """Messages that were put in so far, or were handled at once in place of that."""
    peak: int
    """The most that ever waited."""
    refused: int
    dropped: int
    replaced: int


@attrs.frozen
class ActorSnapshot:
    """An actor at one moment."""

    name: str
    state: State
    mailbox: MailboxStatistics
    facts: Mapping[str, int] = attrs.field(factory=dict)
    """What the actor says of its state."""


@attrs.frozen
class PoolSnapshot:
    """Holds the state of a pool at one moment."""

    name: str
    waiting: int
    """Pieces of work that wait for a worker."""
    workers: int
    idle: int
    parked: int
    """Workers that wait for nurseries which a handler has left open."""
    done: int
    """Pieces of work that have ended."""


@attrs.frozen
class SupervisorSnapshot:
    """Holds the state of a supervisor at one moment: its actors, its pools, and all tasks in its nursery."""

    name: str
    actors: tuple[ActorSnapshot, ...]
    pools: tuple[PoolSnapshot, ...]
    tasks: tuple[str, ...]
    """The names of the tasks, sorted."""

    def render(self) -> list[str]:
        """Return one line for each actor and each pool, for people."""
        return [
            *(
                f"{actor.name}  {actor.state}, {actor.mailbox.told} messages, {actor.mailbox.waiting} of them wait"
                for actor in self.actors
            ),
            *(
                f"{pool.name.rpartition(': ')[2]}  {pool.workers} workers, {pool.idle} idle, {pool.waiting} pieces wait"
                for pool in self.pools
            ),
        ]
