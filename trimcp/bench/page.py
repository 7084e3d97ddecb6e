"""The report as a page of HTML, with charts. It loads nothing and runs nothing: its policy forbids both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Final

from trimcp.bench import table
from trimcp.bench.histogram import Histogram
from trimcp.bench.quantities import shown_seconds
from trimcp.bench.report import FIGURES, Report, errors_line, shown_times
from trimcp.bench.svg import Axis, Points, even_axis, line_chart, log_axis

STYLE: Final = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --grid: #d5d9de;
  --l0: #0b62a4; --l1: #b3400f; --l2: #4d4d4d; --bad: #a40000; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e8eaed; --grid: #3a4048;
  --l0: #6cb6ff; --l1: #ff9d6e; --l2: #b8bec6; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--paper); color: var(--ink); }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; } .bad { color: var(--bad); font-weight: 600; }
pre { white-space: pre-wrap; } svg { width: 100%; height: auto; margin-top: 1rem; }
.title { font-weight: 600; } text { fill: var(--ink); font-size: 13px; } .mark { font-size: 12px; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .grid { stroke: var(--grid); }
.line { fill: none; stroke-width: 1.8; } .l0 { stroke: var(--l0); } .l1 { stroke: var(--l1); stroke-dasharray: 7 3; }
.l2 { stroke: var(--l2); stroke-dasharray: 2 3; }"""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def text(report: Report) -> str:
    """Return the page."""
    title = f"trimcp bench: {report.result.peer.name or report.target}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>",
            f"<h1>{escape(title)}</h1>",
            *_head(report),
            "<h2>Operations</h2>",
            *_operations(report),
            "<h2>Times</h2>",
            *_charts(report),
            f"<h2>All of it</h2>\n<pre>{escape(table.text(report))}</pre>",
            "</main>\n</body>\n</html>\n",
        ]
    )


def _head(report: Report) -> Iterator[str]:
    for line in report.verdict.lines():
        yield f'<p class="{"bad" if report.verdict.word not in ("valid", "passed") else "good"}">{escape(line)}</p>'
    if report.found is not None:
        yield f"<p>{escape(report.found)}</p>"
    result = report.result
    errors = errors_line(result.all.errors)
    yield (
        f"<p>{escape(report.load)}. Achieved {result.rate:,.1f} results a second of {result.offered_rate:,.1f} "
        f"offered, over {result.seconds:.3g} s; {result.dropped:,} dropped; {escape(errors) or 'no errors'}.</p>"
    )


def _operations(report: Report) -> Iterator[str]:
    heads = ("operation", "results", "errors", "since", *FIGURES)
    yield '<div class="scroll"><table>\n<tr>' + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr>"
    for each in (*report.result.operations, report.result.all):
        for since, histogram in report.times_of(each):
            cells = (each.name, f"{len(each.due):,}", f"{each.failed:,}", since, *shown_times(histogram))
            yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table></div>"


# --- charts ---------------------------------------------------------------------------


def _charts(report: Report) -> Iterator[str]:
    result = report.result
    timeline = result.timeline
    if timeline.points:
        seconds = timeline.seconds
        time = even_axis([float(seconds * len(timeline.points))], lambda value: f"{value:g}")

        def line(values: list[float]) -> Points:
            """Hold each value for the whole of its seconds."""
            return [(float(seconds * (at + edge)), value) for at, value in enumerate(values) for edge in (0, 1)]

        offered = [point.offered / seconds for point in timeline.points]
        answered = [point.answered / seconds for point in timeline.points]
        errors = [point.errors / seconds for point in timeline.points]
        rates = [("offered", line(offered)), ("results", line(answered)), ("errors", line(errors))]
        rate_axis = even_axis([*offered, *answered, *errors], lambda value: f"{value:,.6g}")
        yield line_chart("requests a second", rates, time, rate_axis, "seconds")
        p50 = [point.times.percentile(50) / 1e9 for point in timeline.points]
        p99 = [point.times.percentile(99) / 1e9 for point in timeline.points]
        most = [point.times.greatest / 1e9 for point in timeline.points]
        lines = [("p50", line(p50)), ("p99", line(p99)), ("max", line(most))]
        yield line_chart("time from due", lines, time, log_axis([*p50, *p99, *most], shown_seconds), "seconds")
        held = [point.memory / 2**20 for point in timeline.points]
        if any(held):
            memory_axis = even_axis(held, lambda value: f"{value:g} MiB")
            yield line_chart("memory of the server", [("memory", line(held))], time, memory_axis, "seconds")
    whole = result.all
    if whole.due.counts:
        lines = [(since, _curve(histogram)) for since, histogram in report.times_of(whole)]
        last = max(points[-1][0] for _, points in lines if points)
        percents = Axis(0.0, max(last, 1.0), lambda value: f"{100 - 100 / 10**value:.10g} %")
        values = log_axis([value for _, points in lines for _, value in points], shown_seconds)
        yield line_chart("time by percentile", lines, percents, values, "percent of the results")


def _curve(histogram: Histogram) -> Points:
    """Return the times by percentile, with a horizontal axis that stretches the high percentiles."""
    number, seen = len(histogram), 0
    points = []
    for value, count in histogram:
        # Each bucket is drawn where it begins; the greatest value has no 100 % to stand at.
        points.append((math.log10(number / (number - seen)), value / 1e9))
        seen += count
    return points
