"""A result with known figures, for the tests of verdicts and reports."""

from __future__ import annotations

from trimcp.bench.find_max import Step
from trimcp.bench.histogram import Histogram
from trimcp.bench.plan import Closed, Open, Plan
from trimcp.bench.report import Report
from trimcp.bench.result import (
    GeneratorResult,
    OperationResult,
    Peer,
    Point,
    Result,
    ServerResult,
    SessionsResult,
    StreamsResult,
    Timeline,
)
from trimcp.bench.schedule import Schedule
from trimcp.bench.verdict import Verdict, verdict_on

MS = 1_000_000
HOSTILE = '<script>alert("x")</script>'


def histogram(*milliseconds: float) -> Histogram:
    return Histogram(int(each * MS) for each in milliseconds)


def result(
    *,
    due: Histogram | None = None,
    cpu: float = 0.3,
    waited: float = 0.0,
    late: Histogram | None = None,
    dropped: int = 0,
    rate: float = 50.0,
    server: ServerResult | None = None,
) -> Result:
    """100 results of 1 to 100 ms, and two errors, in 2 seconds."""
    due = histogram(*range(1, 101)) if due is None else due
    sent = histogram(*[1.0] * len(due))
    timeline = Timeline()
    for number in range(2):
        timeline.append(Point(50, 50, number, 0, 3, histogram(*range(1, 51)), 2**20 * (number + 1)))
    return Result(
        peer=Peer("adder", "1.0", "2026-07-28", "memory"),
        seconds=2.0,
        offered=int(rate * 2) + 2 + dropped,
        answered=int(rate * 2),
        dropped=dropped,
        operations=[
            OperationResult("add", 1.0, due, sent, errors={"code -32603": 2}),
            OperationResult(f"read {HOSTILE}", 1.0, Histogram(), Histogram()),
        ],
        sessions=SessionsResult(opened=2, lost=1, failed={"connection lost": 3}, opening=histogram(5, 7)),
        streams=StreamsResult(opened=1, notices=8),
        generators=[GeneratorResult(cpu, waited, histogram(0.1) if late is None else late)],
        timeline=timeline,
        server=server,
        sent_bytes=1000,
        received_bytes=2048,
    )


def report(
    found: Result | None = None,
    verdict: Verdict | None = None,
    steps: tuple[Step, ...] = (),
    *,
    is_open: bool = True,
) -> Report:
    found = result(server=ServerResult(1, 0.5, 2**20, 2**21)) if found is None else found
    facts = {"at": "2026-11-29T05:00:00+0000", "python": "3.11", "system": "Linux", "cpus": 2, "load": 0.5}
    facts |= {"trimcp": "0.1.0", "trio": "0.35", "orjson": None}
    verdict = verdict or verdict_on(found)
    load = Open(schedule=Schedule.steady(51)) if is_open else Closed()
    return Report("adder.py", facts, Plan(load=load, listens=1), 1, found, verdict, steps)
