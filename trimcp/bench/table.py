"""The report as text, and the comparison with an earlier one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from trimcp.bench import environment
from trimcp.bench.find_max import Step
from trimcp.bench.quantities import shown_bytes, shown_seconds
from trimcp.bench.report import FIGURES, Report, errors_line, shown_times
from trimcp.bench.result import Result
from trimcp.errors import UsageError

COMPARED: Final = ("p50", "p99", "p99.9", "max")


def text(report: Report) -> str:
    """Return the whole report."""
    result = report.result
    head = [
        f"{result.peer.name or report.target} {result.peer.version}".strip()
        + f" ({result.peer.revision}), {result.peer.connection}",
        f"{report.load}, {plural(report.plan.sessions, 'session')}, {plural(report.workers, 'worker')}",
        environment.line(report.environment),
    ]
    parts = ["\n".join(head)]
    if report.steps:
        parts.append(_search(report.steps))
    parts += [
        table(("", *HEAD), list(_rows(report))),
        "\n".join(_facts(report)),
        "\n".join(report.verdict.lines()),
    ]
    if report.found is not None:
        parts.append(report.found)
    return "\n\n".join(parts)


HEAD: Final = ("results", "/s", "errors", "since", *FIGURES)


def _rows(report: Report) -> Iterator[list[str]]:
    """Yield two rows for each operation, one for each kind of times."""
    result = report.result
    whole = [result.all] if len(result.operations) != 1 else []
    for each in (*result.operations, *whole):
        number = len(each.due)
        figures = [f"{number:,}", f"{number / max(result.seconds, 1e-9):,.0f}", f"{each.failed:,}"]
        (since, first), (other, second) = report.times_of(each)
        yield [each.name, *figures, since, *shown_times(first)]
        yield ["", "", "", "", other, *shown_times(second)]


def _facts(report: Report) -> Iterator[str]:
    result = report.result
    yield (
        f"offered    {result.offered:,} in {result.seconds:.3g} s ({result.offered_rate:,.1f}/s), "
        f"achieved {result.answered:,} ({result.rate:,.1f}/s), dropped {result.dropped:,}"
    )
    errors = result.all.errors
    if errors:
        yield f"errors     {errors_line(errors)}"
    reports = result.all.reports
    if reports:
        yield f"progress   {reports:,} reports ({reports / max(result.seconds, 1e-9):,.0f}/s)"
    sessions = result.sessions
    opening = shown_times(sessions.opening)
    failed = f", failed: {errors_line(sessions.failed)}" if sessions.failed else ""
    yield (
        f"sessions   {sessions.opened:,} opened (p50 {opening[1]}, max {opening[-1]}), {sessions.lost:,} lost, "
        f"{sessions.replaced:,} replaced{failed}"
    )
    streams = result.streams
    if report.plan.listens:
        failed = f", failed: {errors_line(streams.failed)}" if streams.failed else ""
        yield f"streams    {streams.opened:,} opened, {streams.lost:,} lost, {streams.notices:,} notices{failed}"
    if result.sent_bytes is not None and result.received_bytes is not None:
        yield f"bytes      {shown_bytes(result.sent_bytes)} sent, {shown_bytes(result.received_bytes)} received"
    server = result.server
    if server is not None:
        yield (
            f"server     {server.cpu / max(result.seconds, 1e-9):.0%} of a processor{_each(server.cpu, result)}, "
            f"{shown_bytes(server.memory)}, at most {shown_bytes(server.peak)}, {plural(server.processes, 'process')}"
        )
    late = shown_seconds(result.late.percentile(99) / 1e9)
    cpu = sum(each.cpu for each in result.generators) * result.seconds
    busiest = result.busiest
    yield (
        f"generator  {busiest.cpu:.0%} of a processor{_each(cpu, result)}, waited for it {busiest.waited:.0%} of the "
        f"time, late by {late} (p99)"
    )


def _each(cpu: float, result: Result) -> str:
    """Write processor time for each result."""
    return f" ({cpu / result.answered * 1e6:,.0f} µs a result)" if result.answered else ""


def _search(steps: Sequence[Step]) -> str:
    rows = []
    for step in steps:
        due = shown_times(step.result.all.due)
        why = "; ".join((*step.invalid, *step.reasons))
        rows.append([f"{step.rate:,.0f}/s", f"{step.result.rate:,.0f}/s", due[1], due[3], why or "yes"])
    return table(("offered", "achieved", "p50", "p99", "held"), rows, to_left=(4,))


def plural(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], to_left: Collection[int] = (0,)) -> str:
    """Return lines with columns, aligned to the right but for those with words."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if at in to_left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()

    return "\n".join([line(head), *(line(row) for row in rows)])


# --- compared with an earlier report ----------------------------------------------------


def comparison(new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    """Compare two reports in their JSON form, operation by operation.

    Raises:
        UsageError: the earlier one has another form.
    """
    try:
        return "\n".join(_comparison(new, old))
    except (KeyError, TypeError, AttributeError) as exc:
        raise UsageError(f"the earlier report is not complete: {exc}: write it with trimcp bench --json FILE") from exc


def _comparison(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    yield f"compared with the report of {old['environment']['at']}:"
    for what, mine, theirs in (
        ("the load was", new["plan"]["load"], old["plan"]["load"]),
        ("Python was", new["environment"]["python"], old["environment"]["python"]),
        ("the system was", new["environment"]["system"], old["environment"]["system"]),
        ("the revision was", new["server"]["revision"], old["server"]["revision"]),
    ):
        if mine != theirs:
            yield f"  another one: {what} {theirs}, and is {mine}"
    if old["verdict"]["invalid"]:
        yield "  the earlier run was invalid"
    earlier = {each["name"]: each for each in [old["all"], *old["operations"]]}
    rows = [["all", "rate", *_change(old["achieved_rate"], new["achieved_rate"], "{:,.0f}/s")]]
    for each in [new["all"], *new["operations"]]:
        before = earlier.get(each["name"])
        if before is None:
            rows.append([each["name"], "", "–", "new", ""])
            continue
        if each["name"] == "all" and len(new["operations"]) == 1:
            continue
        for figure in COMPARED:
            change = _change(before["due"][figure], each["due"][figure], "{:,.3g} ms")
            rows.append([each["name"], figure, *change])
        then, now = (sum(report["errors"].values()) for report in (before, each))
        if then or now:
            rows.append([each["name"], "errors", *_change(then, now, "{:,}")])
    yield table(("", "", "before", "now", "now ÷ before"), rows)


def _change(before: float, now: float, form: str) -> list[str]:
    return [form.format(before), form.format(now), f"{now / before:.2f}" if before else "–"]
