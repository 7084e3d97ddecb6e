"""The messages that an event log takes from streams, and the batches that they become."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

import attrs

from trimcp.actors.reply import Reply
from trimcp.stores.event_store import EventBatch


class StoredStream(Protocol):
    """A stream that waits until the store has its beginning."""

    def stored(self, *, is_kept: bool) -> None:
        """Take note whether the store has the beginning of the stream. Never waits."""
        ...


@attrs.frozen
class Append:
    """Keep these events."""

    batch: EventBatch
    size: int
    waiter: StoredStream | None = None


@attrs.frozen
class Finish:
    """The stream has ended with event `last`."""

    session: str
    stream: int
    last: int
    writer: int = 0


@attrs.frozen
class Forget:
    """The session is over."""

    session: str


@attrs.frozen
class Flush:
    """Reply when the messages before this one were written; False if they cannot be written any more."""

    reply: Reply[bool]


@attrs.frozen
class Follow:
    """Tell the follower of a stream that the store has the events before this message."""

    session: str
    stream: int
    is_over: bool
    """Whether nothing follows them."""


EventMessage = Append | Finish | Forget | Flush | Follow


def is_awaited(message: EventMessage) -> bool:
    """Whether a client waits until the store has the message."""
    return type(message) is Flush or type(message) is Follow or (type(message) is Append and bool(message.waiter))


def size_of(message: EventMessage) -> int:
    """Return the bytes that a message counts for."""
    return message.size if type(message) is Append else 0


def tell_waiters(messages: Iterable[EventMessage], lost: Iterable[EventBatch]) -> None:
    """Tell the streams that wait whether the store has their beginnings; `lost`: what it does not have."""
    missing = {(batch.session, batch.stream) for batch in lost}
    for message in messages:
        if type(message) is Append and message.waiter is not None:
            message.waiter.stored(is_kept=(message.batch.session, message.batch.stream) not in missing)


def merged(messages: Iterable[EventMessage], forgotten: Iterable[str]) -> list[EventBatch]:
    """Join consecutive events of each stream, and its end, into one batch."""
    over = set(forgotten)
    parts: list[list[EventBatch]] = []
    latest: dict[tuple[str, int], list[EventBatch]] = {}
    for message in messages:
        if type(message) is Append:
            batch = message.batch
        elif type(message) is Finish:
            batch = EventBatch(message.session, message.stream, message.last + 1, (), True, message.writer)
        else:
            continue
        if batch.session in over:
            continue
        key = batch.session, batch.stream
        part = latest.get(key)
        if part is not None and part[-1].last + 1 == batch.first:
            part.append(batch)
        else:
            part = latest[key] = [batch]
            parts.append(part)
    return [part[0] if len(part) == 1 else _joined(part) for part in parts]


def _joined(part: list[EventBatch]) -> EventBatch:
    events = itertools.chain.from_iterable(batch.events for batch in part)
    return attrs.evolve(part[0], events=tuple(events), is_last=any(batch.is_last for batch in part))
