"""What the event log remembers of events that the store does not have."""

from __future__ import annotations

from typing import Final

LOSSES: Final = 16
"""Streams of one session that the log remembers losses of: a client comes back to the latest."""


class EventLosses:
    """The streams of one session that miss events in the store.

    All streams up to `_mark` count as streams that miss events, so that the table stays small.
    """

    __slots__ = ("_mark", "_streams")

    def __init__(self) -> None:
        self._streams: dict[int, int] = {}
        """Stream to the number of the last event that it misses, in the order of their latest losses."""
        self._mark = -1

    def note(self, stream: int, last: int) -> None:
        """Note that a stream misses events up to a number."""
        self._streams.pop(stream, None)
        self._streams[stream] = last
        if len(self._streams) > LOSSES:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            self._mark = max(self._mark, oldest)

    def concern(self, stream: int, after: int) -> bool:
        """Return whether an event of a stream behind a number may be missing."""
        last = self._streams.get(stream)
        return stream <= self._mark if last is None else after < last
