"""The rules of the life of a task, as a state machine: whatever happens in whatever order, they hold."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from trimcp.extensions.tasks import lifecycle
from trimcp.stores.task_store import FINAL, TaskRecord
from trimcp.types.tasks import TaskStatus

ALLOWED: dict[str, set[str]] = {
    "working": {"working", "input_required", *FINAL},
    "input_required": {"input_required", "working", *FINAL},
    **{status: {status} for status in FINAL},
}
"""What each status may become ("Task Status Lifecycle")."""
KEYS = st.sampled_from(["a", "b", "c"])
QUESTION = {"method": "elicitation/create", "params": {}}


class LifeOfATask(RuleBasedStateMachine):
    """Takes steps of a task, and a model of its questions."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.record = TaskRecord(
            id="id",
            principal=None,
            incarnation=1,
            method="tools/call",
            params=b"{}",
            revision="2026-07-28",
            created_at=self.now,
            updated_at=self.now,
            ttl=60.0,
            poll_interval=1.0,
        )
        self.waiting: set[str] = set()
        self.answers: dict[str, Any] = {}

    def take(self, changed: TaskRecord | None) -> bool:
        """Take a step, and check what no step may do."""
        if changed is None:
            return False
        before = self.record
        assert changed.status in ALLOWED[before.status]
        if before.is_final:
            assert changed == before
        assert (changed.id, changed.principal, changed.created_at) == (before.id, before.principal, before.created_at)
        assert changed.updated_at >= before.updated_at
        assert (changed.updated_at == before.updated_at) or changed.status != before.status
        assert changed.expires_at is not None
        assert before.expires_at is not None
        assert changed.expires_at >= before.expires_at
        self.record = changed
        return True

    @rule(seconds=st.floats(-5, 50))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds  # another node's clock may be behind

    @rule(keys=st.sets(KEYS, min_size=1))
    def asks(self, keys: set[str]) -> None:
        if not self.record.is_final:
            self.waiting |= keys - self.answers.keys()
        self.take(lifecycle.asked(self.record, dict.fromkeys(keys, QUESTION), self.now))

    @rule(keys=st.sets(KEYS, min_size=1), value=st.integers())
    def answers_come(self, keys: set[str], value: int) -> None:
        if not self.record.is_final:
            for key in keys & self.waiting:
                self.answers[key] = {"result": {"n": value}}
            self.waiting -= keys
        self.take(lifecycle.answered(self.record, {key: {"result": {"n": value}} for key in keys}, self.now))

    @rule(keys=st.sets(KEYS, min_size=1))
    def takes_back(self, keys: set[str]) -> None:
        if not self.record.is_final:
            self.waiting -= keys
        self.take(lifecycle.forgotten(self.record, keys, self.now))

    @rule(text=st.sampled_from([None, "a", "b"]))
    def says(self, text: str | None) -> None:
        self.take(lifecycle.described(self.record, text))

    @rule(keep=st.floats(0, 100))
    def is_kept_longer(self, keep: float) -> None:
        self.take(lifecycle.extended(self.record, keep, self.now))

    @rule(status=st.sampled_from(["completed", "failed"]))
    def ends(self, status: TaskStatus) -> None:
        if self.take(lifecycle.ended(self.record, status, b"{}", None, self.now)):
            self.waiting.clear()

    @rule()
    def is_cancelled(self) -> None:
        if self.take(lifecycle.cancelled(self.record, self.now)):
            self.waiting.clear()

    @rule(incarnation=st.integers(0, 3))
    def is_taken_over(self, incarnation: int) -> None:
        if self.take(lifecycle.taken_over(self.record, incarnation)):
            assert self.record.incarnation == incarnation

    @rule()
    def is_lost(self) -> None:
        if self.take(lifecycle.lost(self.record, self.now, "node_lost")):
            assert b"node_lost" in (self.record.outcome or b"")
            self.waiting.clear()

    @invariant()
    def the_status_says_whether_questions_wait(self) -> None:
        assert set(lifecycle.questions_of(self.record)) == self.waiting
        assert (self.record.status == "input_required") == bool(self.waiting)

    @invariant()
    def answers_stay(self) -> None:
        assert lifecycle.answers_of(self.record) == self.answers

    @invariant()
    def the_outcome_is_there_at_the_end_alone(self) -> None:
        assert self.record.outcome is None or self.record.is_final


def test_the_rules_hold_in_whatever_order_things_happen() -> None:
    run_state_machine_as_test(LifeOfATask)


def test_a_step_of_a_final_task_changes_nothing() -> None:
    machine = LifeOfATask()
    record = attrs.evolve(machine.record, status="completed", outcome=b"{}")
    assert lifecycle.cancelled(record, 1) is None
    assert lifecycle.lost(record, 1) is None
    assert lifecycle.taken_over(record, 2) is None
