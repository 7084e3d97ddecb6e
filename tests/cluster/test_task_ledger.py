"""The invariants of tasks in the simulation are found violated where they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.cluster.ledger import Answer
from benchmarks.cluster.task_ledger import STOP_SECONDS, Task, TaskLedger

Lines = list[tuple[str, str, int, str]]
BUILT: Lines = [("a", "began", 0, ""), ("a", "step", 0, "0.a"), ("a", "kept", 0, "0.a"), ("a", "done", 0, "")]
AGAIN: Lines = [*BUILT[:3], ("b", "began", 0, ""), ("b", "kept", 0, "0.a"), ("b", "done", 0, "")]
TAKEN_AGAIN: Lines = [*BUILT[:3], ("b", "began", 0, ""), ("b", "step", 0, "0.b"), ("b", "done", 0, "")]
# The node died after the step, and before the value was kept.
UNKEPT: Lines = [
    *BUILT[:2],
    ("b", "began", 0, ""),
    ("b", "step", 0, "0.b"),
    ("b", "kept", 0, "0.b"),
    ("b", "done", 0, ""),
]
DELIVERED: Lines = [("a", "began", 0, ""), ("a", "done", 0, "")]


def text(text: str) -> dict[str, Any]:
    """The outcome of a task with a text."""
    return {"result": {"content": [{"type": "text", "text": text}]}}


def failed(reason: str) -> dict[str, Any]:
    """The outcome of a task that failed."""
    return {"error": {"code": -31010, "message": "lost", "data": {"reason": reason}}}


async def ended(ledger: TaskLedger, tool: str, status: str, outcome: Any) -> Task:
    """A task that was acknowledged, and has ended at the time 100."""
    task = ledger.begin(tool, "modern")
    task.id = "1"
    task.tell_state({"status": status, "lastUpdatedAt": "now"}, 100.0)
    task.tell_outcome(outcome)
    return task


def lines(effects: Lines, at: float = 0.0) -> list[str]:
    """The effects of the first task, as a node writes them."""
    return [json.dumps(["task0", *effect, at]) for effect in effects]


@pytest.mark.parametrize(
    ("tool", "status", "outcome", "effects"),
    [
        ("build", "completed", text("0.a"), BUILT),
        ("build", "completed", text("0.a"), AGAIN),
        ("build", "completed", text("0.b"), UNKEPT),
        ("deliver", "completed", text("delivered task0"), DELIVERED),
        ("deliver", "failed", failed("node_lost"), DELIVERED),
        ("deliver", "failed", failed("shutdown"), DELIVERED[:1]),
    ],
)
async def test_what_may_be_is_no_violation(tool: str, status: str, outcome: Any, effects: Lines) -> None:
    ledger = TaskLedger()
    await ended(ledger, tool, status, outcome)
    assert ledger.violations(lines(effects)) == []


@pytest.mark.parametrize(
    ("tool", "status", "outcome", "effects", "problem"),
    [
        ("build", "completed", text("0.a"), TAKEN_AGAIN, "took step 0 again, which was kept"),
        ("build", "completed", text("0.c"), BUILT, "gave '0.c' and not '0.a'"),
        ("build", "failed", failed("node_lost"), BUILT[:1], "failed: "),
        ("build", "cancelled", {}, BUILT[:1], "was cancelled without a request"),
        ("deliver", "completed", text("delivered task0"), DELIVERED[:1], "was not done"),
        ("deliver", "failed", failed("node_lost"), [*DELIVERED, ("b", "began", 0, "")], "ran 2 times"),
        ("deliver", "failed", failed("store_unavailable"), DELIVERED, "failed: "),
    ],
)
async def test_what_must_not_be_is_a_violation(
    tool: str, status: str, outcome: Any, effects: Lines, problem: str
) -> None:
    ledger = TaskLedger()
    await ended(ledger, tool, status, outcome)
    [violation] = ledger.violations(lines(effects))
    assert problem in violation


async def test_a_told_end_that_changes_is_a_violation() -> None:
    ledger = TaskLedger()
    task = await ended(ledger, "deliver", "failed", failed("node_lost"))
    task.tell_state({"status": "completed", "lastUpdatedAt": "later"}, 101.0)
    task.tell_outcome(text("delivered task0"))
    assert len(ledger.violations(lines(DELIVERED))) == 2


async def test_work_that_goes_on_long_after_the_end_is_a_violation() -> None:
    ledger = TaskLedger()
    task = await ended(ledger, "deliver", "cancelled", {})
    task.is_to_cancel = True
    assert ledger.violations(lines(DELIVERED, 100.0 + STOP_SECONDS)) == []
    [violation] = ledger.violations(lines(DELIVERED, 101.0 + STOP_SECONDS))
    assert "41 s after its end was told" in violation


async def test_a_task_without_an_end_or_without_a_client_is_a_violation() -> None:
    ledger = TaskLedger()
    ledger.begin("build", "legacy").id = "1"
    found = ledger.violations([*lines(BUILT), json.dumps(["other", "a", "began", 0, "", 0.0])])
    assert ["did not end" in found[0], "no client asked for" in found[1]] == [True, True]


async def test_a_refused_call_that_ran_is_a_violation() -> None:
    ledger = TaskLedger()
    ledger.begin("deliver", "legacy").is_refused = True
    [violation] = ledger.violations(lines(DELIVERED))
    assert violation.endswith("ran 1 times")


def test_a_request_that_was_lost_says_nothing_of_its_task() -> None:
    lost = {"code": -31010, "message": "Node lost: the node that ran this request is gone", "data": {}}
    assert Answer.of({"error": lost}) == Answer()
    assert Answer.of({"error": {"code": -31011, "message": "no"}}).is_refused
