"""Computes medians and ratios, and prints them as tables."""

from __future__ import annotations

import os
import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import TRIMCP
from trimcp.bench.environment import environment, line

Found = dict[str, dict[str, list[float]]]
"""By name and by figure, the values of all rounds."""


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round: what slows a round down slows both."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def note(figures: dict[str, list[float]], values: Mapping[str, float]) -> None:
    """Add the values of one round to what was found before."""
    for figure, value in values.items():
        figures.setdefault(figure, []).append(value)


def comparison(found: Found, columns: Sequence[tuple[str, str, str, bool]]) -> str:
    """A table with a row for each program, and a column for each figure.

    A column is its head, the figure, how to write the median, and whether a column follows that divides trimcp's
    figure by the row's, burst by burst.
    """
    ours = found.get(TRIMCP)
    head = [""]
    for title, _, _, divided in columns:
        head += [title, "trimcp ÷ it"] if divided and ours else [title]
    rows = []
    for name, figures in found.items():
        row = [name]
        for _, figure, form, divided in columns:
            row.append(form.format(statistics.median(figures[figure])) if figure in figures else "–")
            if divided and ours:
                both = figure in figures and figure in ours
                row.append(f"{ratio(ours[figure], figures[figure]):.2f}" if both else "–")
        rows.append(row)
    return table(head, rows)


def progress(text: str) -> None:
    """Show on stderr how far a measurement is; an empty text clears the line."""
    if sys.stderr.isatty():
        print(f"\r{text:70}\r", end="", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded, with figures to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]

    def row_of(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if index == 0 else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join([row_of(head), "| " + " | ".join(rule) + " |", *(row_of(row) for row in rows)])


class OtherWork:
    """Measures how much of the processors other programs take from now on."""

    def __init__(self) -> None:
        self._busy, self._all = _processor_ticks()
        self._own = _own_seconds()

    def __str__(self) -> str:
        busy, total = _processor_ticks()
        own = (_own_seconds() - self._own) * os.sysconf("SC_CLK_TCK")
        share = (busy - self._busy - own) / max(total - self._all, 1)
        return f"other programs took {max(share, 0):.0%} of the processors meanwhile"


def _processor_ticks() -> tuple[int, int]:
    """Ticks in which a processor was busy, and all ticks, since the system started."""
    ticks = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _own_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def machine() -> dict[str, Any]:
    """The machine, its software and its load."""
    return environment()


def machine_line() -> str:
    """The same, as a line of text."""
    return line(machine())
