"""Medians, ratios, and the table they are printed as."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.contestants import TRIMCP

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
    """Show on stderr how far a measurement is; with no text, nothing any more."""
    if sys.stderr.isatty():
        print(f"\r{text:70}\r", end="", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it can be read as it is; figures to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if index == 0 else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join([line(head), "| " + " | ".join(rule) + " |", *(line(row) for row in rows)])


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy that was."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "trio": version("trio"),
        "orjson": version("orjson"),
    }


def machine_line() -> str:
    """The same, as a line of text."""
    facts = machine()
    return (
        f"Python {facts['python']}, {facts['system']}, {facts['cpus']} CPUs (load {facts['load']} before), "
        f"trio {facts['trio']}, orjson {facts['orjson']}"
    )
