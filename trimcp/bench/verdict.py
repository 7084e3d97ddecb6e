"""The verdict on a run: whether its figures can be trusted, and whether it keeps within the gates.

A load generator that is itself too slow measures itself. So a run is invalid where a process of the generator used
most of a processor, or sent requests much later than it could have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from trimcp.bench.conditions import Condition
from trimcp.bench.quantities import shown_seconds
from trimcp.bench.result import Result

MOST_CPU: Final = 0.8
"""The part of the time in which a process of the generator may work, or wait for a processor."""
NOTED: Final = 0.2
"""The part of the time from which on the work of the generator in a closed loop is worth a note."""
MOST_LATE: Final = 0.01
"""Seconds that it may be late with 1 % of the requests, by default."""


@attrs.frozen
class Gate:
    """One `--fail-if`, with the value that was found."""

    condition: Condition
    value: float

    @property
    def has_failed(self) -> bool:
        """Whether the condition holds, which means that the run fails."""
        return self.condition.holds(self.value)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"fail_if": self.condition.text, "value": self.value, "failed": self.has_failed}


@attrs.frozen
class Verdict:
    """What a run is worth."""

    invalid: tuple[str, ...]
    """Why the figures cannot be trusted."""
    gates: tuple[Gate, ...]
    notes: tuple[str, ...] = ()
    """What else must be known to read the figures."""
    is_interrupted: bool = False
    """Whether the run was ended before its time."""

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that failed."""
        return tuple(gate for gate in self.gates if gate.has_failed)

    @property
    def word(self) -> str:
        """The verdict in one word."""
        if self.is_interrupted:
            return "interrupted"
        return "invalid" if self.invalid else "failed" if self.failed else "passed" if self.gates else "valid"

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        lines = ["INTERRUPTED: the figures are of the time until then"] if self.is_interrupted else []
        lines += [f"INVALID: {reason}" for reason in self.invalid]
        for gate in self.gates:
            found = gate.condition.shown(gate.value)
            lines.append(f"{'FAILED' if gate.has_failed else 'passed'}: fails if {gate.condition.text}, found {found}")
        return [*(lines or ["valid: the load generator kept up"]), *(f"note: {note}" for note in self.notes)]


def verdict_on(
    result: Result, gates: Sequence[Condition] = (), *, most_late: float = MOST_LATE, is_closed: bool = False
) -> Verdict:
    """Judge a run.

    Args:
        result: its figures.
        gates: conditions that must not hold.
        most_late: seconds that the generator may be late with 1 % of the requests.
        is_closed: whether the load was a closed loop.

    Raises:
        UsageError: a gate names a figure that the result does not have.
    """
    return Verdict(
        tuple(problems(result, most_late)),
        tuple(Gate(condition, condition.value(result)) for condition in gates),
        tuple(_notes(result)) if is_closed else (),
        result.is_interrupted,
    )


def _notes(result: Result) -> Iterator[str]:
    """Yield for how much of a closed loop its callers waited for the load generator itself."""
    busiest = result.busiest
    own = min(busiest.cpu + busiest.waited, 0.99)
    if own >= NOTED:
        yield (
            f"in this closed loop each caller waits for the load generator too, which worked for {busiest.cpu:.0%} of "
            f"the time, and waited for a processor for {busiest.waited:.0%}: a driver without cost may see up to "
            f"{1 / (1 - own):.1f} times this rate"
        )


def problems(result: Result, most_late: float = MOST_LATE) -> list[str]:
    """Return why the figures of a run say more of the load generator than of the server."""
    found = []
    busiest = result.busiest
    if busiest.cpu > MOST_CPU:
        found.append(
            f"the load generator used {busiest.cpu:.0%} of a processor, more than {MOST_CPU:.0%}, and is the limit "
            "itself: add --workers, or lower the rate"
        )
    elif busiest.cpu + busiest.waited > MOST_CPU:
        found.append(
            f"the load generator used {busiest.cpu:.0%} of a processor, and waited for it for another "
            f"{busiest.waited:.0%} of the time, together more than {MOST_CPU:.0%}: use a machine with less other load"
        )
    late = result.late.percentile(99) / 1e9
    if late > most_late:
        found.append(
            f"the load generator was late by {shown_seconds(late)} with 1 % of its requests, more than "
            f"{shown_seconds(most_late)}: use a machine with less other load, lower the rate, or raise --max-late"
        )
    if result.operations and not len(result.all.due):
        found.append("no request had a result, so there are no times")
    return found
