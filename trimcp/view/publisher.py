"""The publisher: sends the state to all viewers, and what has changed since, some times a second.

One delta is made for all viewers. The time that a delta took decides when the next one may come, so looking costs a
server a bounded share of its time. A viewer that does not read gets no delta until its bytes have left, then the whole
state again; one that does not read for long is dropped. The server never waits for a viewer.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import trio

from trimcp.codec.jsontext import dumps
from trimcp.http.binding import HttpResponse
from trimcp.observability import events, log
from trimcp.observability.instruments import Instruments
from trimcp.server.run_registry import RunRegistry
from trimcp.view.figures import Figures
from trimcp.view.logs import Line
from trimcp.view.state import State
from trimcp.view.trace import Record, Trace

INTERVAL: Final = 0.25
"""Seconds between two deltas, at least."""
PAUSE: Final = 40
"""The next delta waits this many times the processor time of the last one: the view takes at most 2.5 %."""
MOST_VIEWERS: Final = 16
"""Streams at once. A further one is refused with 503."""
DROPPED_AFTER: Final = 5.0
"""Seconds for which a viewer may not read. Then its stream is broken off."""
RECORDS: Final = 100
"""Records of one delta, the newest ones; a whole state has ten times as many."""
RECORDED: Final = 1000
"""Messages that are recorded between two deltas. Further ones are counted: no person can read them at such a rate."""
QUIET: Final = 15.0
"""Seconds without a change after which a comment is sent, so that proxies keep the stream."""

STREAM_FIELDS: Final = ((b"content-type", b"text/event-stream"),)


class Viewer:
    """Holds the stream of one page."""

    __slots__ = ("is_behind", "reads_steps", "reads_trace", "response", "stuck_since")

    def __init__(self, response: HttpResponse, *, reads_trace: bool, reads_steps: bool) -> None:
        self.response: HttpResponse = response
        self.reads_trace: bool = reads_trace
        self.reads_steps: bool = reads_steps
        self.is_behind: bool = True
        """Whether it needs the whole state."""
        self.stuck_since: float | None = None


class Publisher:
    """Sends the state of one server to its viewers. Its functions never wait."""

    def __init__(self, runs: RunRegistry, figures: Figures, *, control: bool, trace: bool) -> None:
        """
        Args:
            runs: of the server.
            figures: the counters.
            control: whether the page may cancel, close and drain.
            trace: whether messages are recorded also while no page looks.
        """
        self.state: State = State(runs, figures, control=control)
        self.trace: Trace = Trace()
        self._instruments: Instruments = runs.instruments
        self._always = trace
        self._viewers: set[Viewer] = set()
        self._wanted = trio.Event()
        self._sent: dict[str, bytes] = {}
        self._records_sent = 0
        self._lines_sent = 0
        self._last_sent = 0.0

    # --- viewers ----------------------------------------------------------------------

    def join(self, response: HttpResponse, *, reads_trace: bool, reads_steps: bool = False) -> bool:
        """Begin the stream of a viewer. Returns False where there are too many.

        Args:
            response: carries the stream.
            reads_trace: whether messages and logs are recorded for it.
            reads_steps: whether the steps of tasks are measured for it.
        """
        if self.is_full:
            return False
        viewer = Viewer(response, reads_trace=reads_trace, reads_steps=reads_steps)
        response.on_gone = lambda: self._leave(viewer)
        response.begin(200, STREAM_FIELDS)
        self._viewers.add(viewer)
        self._record()
        self._wanted.set()
        return True

    def _leave(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        self._record()

    @property
    def is_full(self) -> bool:
        """Whether there are as many viewers as there may be."""
        return len(self._viewers) >= MOST_VIEWERS

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    def _record(self) -> None:
        """Begin or end recording and measuring, as the viewers want it."""
        if any(viewer.reads_steps for viewer in self._viewers):
            self.state.steps.start()
        else:
            self.state.steps.stop()
        wanted = self._always or any(viewer.reads_trace for viewer in self._viewers)
        if wanted is not self.state.is_recording:
            self.state.is_recording = wanted
            self.trace.room = sys.maxsize if self._always else RECORDED
            change = ("add_meter", "add_trace") if wanted else ("remove_meter", "remove_trace")
            for name in change:
                getattr(self._instruments, name)(self.trace)
            if wanted:
                self.trace.logs.open()
            else:
                self.trace.logs.stop()

    # --- sending ----------------------------------------------------------------------

    async def run(self) -> None:
        """Send deltas until cancelled. While no page looks, nothing runs."""
        try:
            self._record()
            while True:
                await self._wanted.wait()
                began = time.thread_time()
                self.publish()
                spent = time.thread_time() - began
                if not self._viewers:
                    self._wanted = trio.Event()
                await trio.sleep(max(INTERVAL, spent * PAUSE))
        finally:
            self._always = False
            self.end()

    def end(self) -> None:
        """Send the last state, such as the report of a drain, and end all streams. Idempotent."""
        self.publish()
        for viewer in tuple(self._viewers):
            self._viewers.discard(viewer)
            viewer.response.end()
        self._record()

    def publish(self) -> None:
        """Send each viewer what it does not know yet."""
        now = trio.current_time()
        if not self._viewers:
            return
        sections = {name: dumps(section) for name, section in self.state.sections().items()}
        changed = {name: text for name, text in sections.items() if self._sent.get(name) != text}
        gone = [name for name in self._sent if name not in sections]
        trace, logs = self.trace, self.trace.logs.ring
        records, lines = trace.since(self._records_sent, RECORDS), logs.since(self._lines_sent, RECORDS)
        missed = trace.last - self._records_sent - len(records) + trace.passed
        trace.passed = 0
        if not self._always:
            trace.room = RECORDED
        self._sent, self._records_sent, self._lines_sent = sections, trace.last, logs.last
        delta = whole = None
        if changed or gone or records or lines or missed:
            delta = event_of(b"delta", now, changed, gone, records, lines, missed)
            self._last_sent = now
        elif now - self._last_sent > QUIET:
            delta = b": \n\n"
            self._last_sent = now
        for viewer in tuple(self._viewers):
            if viewer.response.is_clogged:
                self._stuck(viewer, now)
                continue
            viewer.stuck_since = None
            if not viewer.is_behind:
                if delta is not None:
                    viewer.response.write(delta)
                continue
            if whole is None:
                newest, last = trace.since(0, 10 * RECORDS), logs.since(0, 10 * RECORDS)
                whole = event_of(b"state", now, sections, [], newest, last, 0)
            viewer.is_behind = False
            viewer.response.write(whole)

    def _stuck(self, viewer: Viewer, now: float) -> None:
        """Let a viewer without a delta, or drop it."""
        viewer.is_behind = True
        if viewer.stuck_since is None:
            viewer.stuck_since = now
        elif now - viewer.stuck_since >= DROPPED_AFTER:
            self._leave(viewer)
            self.state.dropped += 1
            log.info(events.VIEW_DROPPED, seconds=DROPPED_AFTER, number=self.state.dropped)
            viewer.response.abort()


def event_of(
    name: bytes,
    now: float,
    sections: dict[str, bytes],
    gone: list[str],
    records: list[Record],
    lines: list[tuple[int, Line]],
    missed: int,
) -> bytes:
    """Return an event. Its sections are JSON already."""
    members = b",".join(dumps(name) + b":" + text for name, text in sections.items())
    rest = dumps(
        {
            "now": round(now, 3),
            "gone": gone,
            "records": [record.brief() for record in records],
            "lines": [line.shown(number) for number, line in lines],
            "missed": missed,
        }
    )
    return b'event: %s\ndata: {"set":{%s},%s\n\n' % (name, members, rest[1:])
