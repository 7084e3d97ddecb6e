"""The ledger of tasks: what clients were told of each, its counted effects, and the invariants."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from benchmarks.cluster.ledger import NOTES

FINAL: Final = ("completed", "failed", "cancelled")
REASONS: Final = ("node_lost", "shutdown")
"""Why a task may fail that does not run again."""
ONCE: Final = "deliver"
"""The tool whose tasks do not run again."""
STOP_SECONDS: Final = 40.0
"""Seconds after the end of a task was told in which a run may still have an effect: that of a frozen node may."""


@attrs.define(eq=False)
class Task:
    """One task, as its client knows it."""

    key: str
    tool: str
    era: str
    began: float
    id: str | None = None
    """Set when the task is acknowledged."""
    is_refused: bool = False
    """Whether the call was refused, so that nothing has run."""
    is_to_cancel: bool = False
    """Whether the client asks to cancel it."""
    state: Any = None
    """What `tasks/get` told of the end."""
    outcome: Any = None
    """The result or the error that was told."""
    ended_at: float | None = None
    """When the end was told, in seconds since the epoch."""
    seconds: float = 0.0
    broken: list[str] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    """What its client saw, with the seconds since it began."""

    def note(self, text: str) -> None:
        """Add a note; the first ones are dropped."""
        self.notes = [*self.notes[-NOTES:], f"{trio.current_time() - self.began:.1f} {text}"]

    @property
    def status(self) -> str | None:
        """The status at the end; None while it is not known."""
        return None if self.state is None else self.state[0]

    @property
    def has_ended(self) -> bool:
        """Whether the end and the outcome are known."""
        return self.state is not None and self.outcome is not None

    def tell_state(self, state: Mapping[str, Any], now: float) -> None:
        """Take the state of the task. After its end, it must stay the same."""
        found = (state["status"], state["lastUpdatedAt"])
        self.note(found[0])
        if self.state is None and found[0] in FINAL:
            self.state, self.ended_at = found, now
            self.seconds = trio.current_time() - self.began
        elif self.state is not None and found != self.state:
            self.broken.append(f"was told as {self.state}, and then as {found}")

    def tell_outcome(self, outcome: Any) -> None:
        """Take the outcome of the task, which must stay the same."""
        if self.outcome is None:
            self.outcome = outcome
        elif outcome != self.outcome:
            self.broken.append(f"ended with {self.outcome}, and then with {outcome}")

    @property
    def text(self) -> str | None:
        """The text of its result."""
        try:
            text: str = self.outcome["result"]["content"][0]["text"]
        except (KeyError, TypeError, IndexError):
            return None
        return text

    @property
    def reason(self) -> str:
        """Why it failed, for people."""
        error = (self.outcome or {}).get("error") or {}
        data = error.get("data")
        return str(data["reason"]) if isinstance(data, dict) and "reason" in data else str(self.outcome)

    @property
    def told(self) -> str:
        """How it ended, for the table."""
        if self.id is None:
            return "refused" if self.is_refused else "connection lost before it was acknowledged"
        return f"failed, {self.reason}" if self.status == "failed" else self.status or "no end"


@attrs.frozen
class Effect:
    """A line that a run of a task has written."""

    key: str
    run: str
    event: str
    """`began`, `step`, `kept` (the server has kept the value of a step), or `done`."""
    step: int
    value: str
    at: float


@attrs.define
class TaskLedger:
    """Collects what all clients are told of tasks."""

    tasks: list[Task] = attrs.field(factory=list)

    def begin(self, tool: str, era: str) -> Task:
        """Begin a task with a key of its own."""
        task = Task(f"task{len(self.tasks)}", tool, era, trio.current_time())
        self.tasks.append(task)
        return task

    def rows(self) -> Sequence[tuple[str, object]]:
        """Return rows for people."""
        if not self.tasks:
            return []
        ends = Counter(f"{task.era} task {task.tool}: {task.told}" for task in self.tasks)
        slowest = max((task.seconds for task in self.tasks), default=0.0)
        return [*sorted(ends.items()), ("slowest task", f"{slowest:.1f} s")]

    def violations(self, lines: Iterable[str]) -> list[str]:
        """Compare what clients were told with the effects; return what must not be."""
        effects: dict[str, list[Effect]] = defaultdict(list)
        for line in lines:
            effect = Effect(*json.loads(line))
            effects[effect.key].append(effect)
        found = []
        for task in self.tasks:
            problems = (*task.broken, *_of_end(task), *_of_runs(task, effects[task.key]))
            found += [f"{task.era} {task.tool} {task.key} ({task.told}) {problem}" for problem in problems]
        unknown = effects.keys() - {task.key for task in self.tasks}
        return found + [f"{key} ran, which no client asked for" for key in sorted(unknown)]


def _of_end(task: Task) -> Iterable[str]:
    """Find what must not be in the end that was told."""
    if task.id is None:
        return
    if not task.has_ended:
        yield f"did not end: {', '.join(task.notes)}"
    elif task.status == "failed" and (task.tool != ONCE or task.reason not in REASONS):
        yield f"failed: {task.outcome}"
    elif task.status == "cancelled" and not task.is_to_cancel:
        yield "was cancelled without a request"


def _of_runs(task: Task, effects: Sequence[Effect]) -> Iterable[str]:
    """Find what must not be in the effects of a task, in the order in which they happened."""
    runs = {effect.run: place for place, effect in enumerate(effects) if effect.event == "began"}
    done = sum(effect.event == "done" for effect in effects)
    if task.tool == ONCE and len(runs) > 1:
        yield f"ran {len(runs)} times"
    if task.is_refused and task.id is None and (done or len(runs) > (task.era == "modern")):
        yield f"ran {len(runs)} times"  # in 2026-07-28 a call runs before it becomes a task
    if task.status == "completed" and not done:
        yield "was not done"
    if task.ended_at is not None:
        late = [effect for effect in effects if effect.at > task.ended_at + STOP_SECONDS]
        if late:
            yield f"had an effect {late[-1].at - task.ended_at:.0f} s after its end was told"
    yield from _of_steps(task, effects, runs)


def _of_steps(task: Task, effects: Sequence[Effect], runs: Mapping[str, int]) -> Iterable[str]:
    """Find steps that were taken again though their value was kept, and values that are not those of the steps."""
    kept: dict[int, Effect] = {}
    for effect in effects:
        if effect.event == "kept" and kept.setdefault(effect.step, effect).value != effect.value:
            yield f"kept two values of step {effect.step}: {kept[effect.step].value}, {effect.value}"
    for place, effect in enumerate(effects):
        before = kept.get(effect.step)
        if effect.event == "step" and before is not None and effects.index(before) < runs[effect.run] <= place:
            yield f"took step {effect.step} again, which was kept"
    if task.status == "completed":
        expected = {"deliver": f"delivered {task.key}", "wish": f"owl for {task.key}"}.get(
            task.tool, " ".join(kept[step].value for step in sorted(kept))
        )
        if task.text != expected:
            yield f"gave {task.text!r} and not {expected!r}"
