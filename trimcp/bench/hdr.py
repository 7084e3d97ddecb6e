"""The times as a log of HdrHistogram, for its viewers. It needs the package `hdrhistogram`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.bench.histogram import Histogram
    from trimcp.bench.report import Report

GREATEST: Final = 3600 * 10**9
"""Nanoseconds: the greatest time that such a histogram takes."""
DIGITS: Final = 3
_OTHER: Final = re.compile(r"[^\w./:-]")


def check() -> None:
    """Check that the package is installed, before a run.

    Raises:
        UsageError: it is not.
    """
    try:
        import hdrh.histogram  # noqa: F401
    except ModuleNotFoundError as exc:
        raise UsageError.not_installed("hdrhistogram, which --hdr needs,", "bench") from exc


def text(report: Report) -> str:
    """Return a log with two histograms for each operation, tagged as `due-NAME` and `sent-NAME`."""
    seconds = report.result.seconds
    lines = [
        "#[Times in nanoseconds, logged by trimcp bench]",
        "#[Histogram log format version 1.3]",
        "#[StartTime: 0.000 (seconds since the beginning of the window)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for each in report.result.operations:
        for since, histogram in report.times_of(each):
            # A comma or a space would end the tag.
            tag = _OTHER.sub("_", f"{since}-{each.name}")
            lines.append(f"Tag={tag},0.000,{seconds:.3f},{histogram.greatest / 1e6:.3f},{_encoded(histogram)}")
    return "\n".join([*lines, ""])


def _encoded(histogram: Histogram) -> str:
    from hdrh.histogram import HdrHistogram

    made = HdrHistogram(1, GREATEST, DIGITS)
    for value, number in histogram:
        made.record_value(min(max(value, 1), GREATEST), number)
    encoded: bytes = made.encode()
    return encoded.decode()
