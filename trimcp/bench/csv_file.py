"""The report as CSV: a row for all, for each operation, and for each second."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

from trimcp.bench.histogram import Histogram
from trimcp.bench.report import FIGURES, Report, times
from trimcp.bench.result import OperationResult

HEAD: Final = (
    *("scope", "name", "begin_s", "offered", "results", "errors", "dropped", "in_flight", "memory_bytes"),
    *(f"due_{figure}_ms" for figure in FIGURES),
    *(f"sent_{figure}_ms" for figure in FIGURES),
    *(f"corrected_{figure}_ms" for figure in FIGURES),
)


def text(report: Report) -> str:
    """Return the report. Cells that a row does not have are empty; a spreadsheet takes no cell for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows([_safe(cell) for cell in row] for row in _rows(report))
    return file.getvalue()


def _rows(report: Report) -> Iterator[list[Any]]:
    result = report.result
    yield _operation("all", result.all, result.offered, result.dropped)
    for each in result.operations:
        yield _operation("operation", each, "", "")
    for number, point in enumerate(result.timeline.points):
        counts = (point.offered, point.answered, point.errors, point.dropped, point.in_flight, point.memory or "")
        yield [
            "second",
            "",
            number * result.timeline.seconds,
            *counts,
            *_times(point.times),
            *([""] * 2 * len(FIGURES)),
        ]


def _operation(scope: str, each: OperationResult, offered: int | str, dropped: int | str) -> list[Any]:
    counts = (offered, len(each.due), each.failed, dropped, "", "")
    return [scope, each.name, "", *counts, *_times(each.due), *_times(each.sent), *_times(each.corrected)]


def _times(histogram: Histogram) -> list[Any]:
    return [round(value, 6) for value in times(histogram).values()] if histogram.counts else [""] * len(FIGURES)


def _safe(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell
