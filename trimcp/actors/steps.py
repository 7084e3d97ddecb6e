"""The steps of the event loop: how long tasks run without a wait, and the longest of these times.

A step is what a task does between two waits. No other task runs meanwhile, so one long step delays all of them.
"""

from __future__ import annotations

import time
from typing import Final

import attrs
import trio

LONGEST: Final = 10
"""Steps that are remembered."""


@attrs.frozen
class Step:
    """One step of a task."""

    task: trio.lowlevel.Task
    seconds: float
    at: float
    """When it ended, by Trio's clock."""
    place: str
    """Where the task waited afterwards: the innermost function outside of Trio, with its file and line."""


class StepWatch(trio.abc.Instrument):
    """Measures every step of the run while it is installed. It costs each step two calls."""

    def __init__(self) -> None:
        self.count: int = 0
        self.seconds: float = 0.0
        """The time of all steps together."""
        self.longest: list[Step] = []
        """The longest steps, the longest first."""
        self.since: float | None = None
        """When it was installed, by Trio's clock; None while it is not."""
        self._began = 0.0
        self._floor = 0.0

    def start(self) -> None:
        """Install it, with empty figures. Idempotent."""
        if self.since is None:
            self.count, self.seconds, self.longest, self._floor = 0, 0.0, [], 0.0
            self.since = trio.current_time()
            self._began = time.perf_counter()
            trio.lowlevel.add_instrument(self)

    def stop(self) -> None:
        """Take it out. Idempotent."""
        if self.since is not None:
            self.since = None
            self.longest = []  # they keep their tasks
            trio.lowlevel.remove_instrument(self)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        self._began = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        seconds = time.perf_counter() - self._began
        self.count += 1
        self.seconds += seconds
        if seconds > self._floor:
            self._note(task, seconds)

    def _note(self, task: trio.lowlevel.Task, seconds: float) -> None:
        self.longest.append(Step(task, seconds, trio.current_time(), _place_of(task)))
        self.longest.sort(key=lambda step: -step.seconds)
        if len(self.longest) > LONGEST:
            del self.longest[LONGEST:]
        if len(self.longest) == LONGEST:
            self._floor = self.longest[-1].seconds


def _place_of(task: trio.lowlevel.Task) -> str:
    """Return where a task waits, as text; nothing where it has ended."""
    place = ""
    for frame, line in task.iter_await_frames():
        if not frame.f_globals.get("__name__", "").startswith("trio."):
            place = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{line})"
    return place
