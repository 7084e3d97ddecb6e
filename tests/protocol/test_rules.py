"""The small rules: progress, the handshake, cancels."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.protocol.cancel_reason import ANSWERS, CancelReason
from trimcp.protocol.lifecycle import TRANSITIONS, Handshake, Phase, Step
from trimcp.protocol.progress import ProgressMeter, Verdict


@pytest.mark.parametrize("value", [1, 0, -5, 2.0, float("nan"), float("inf"), float("-inf")])
def test_what_does_not_increase_is_refused(value: float) -> None:
    meter = ProgressMeter(10, 10)
    assert meter.weigh(2, 0) is Verdict.SEND
    assert meter.weigh(value, 0) is Verdict.REFUSE
    assert meter.weigh(2.5, 0) is Verdict.SEND


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_first_report_must_be_a_number_too(value: float) -> None:
    meter = ProgressMeter(10, 10)
    assert meter.weigh(value, 0) is Verdict.REFUSE
    assert meter.weigh(0, 0) is Verdict.SEND


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    meter = ProgressMeter(2.0, 3)
    now = [meter.weigh(n, 0.0) for n in range(5)]
    assert now == [Verdict.SEND] * 3 + [Verdict.HOLD] * 2
    assert meter.weigh(5, 0.4) is Verdict.HOLD
    assert meter.weigh(6, 0.6) is Verdict.SEND
    assert meter.weigh(7, 0.6) is Verdict.HOLD
    # A long rest saves up one burst and no more.
    rested = [meter.weigh(n, 1000.0) for n in range(8, 13)]
    assert rested == [Verdict.SEND] * 3 + [Verdict.HOLD] * 2


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-1e6, 1e6)), max_size=200),
    st.floats(0.5, 100),
    st.integers(1, 20),
)
def test_what_passes_increases_and_keeps_to_the_rate(steps: list[tuple[float, float]], rate: float, burst: int) -> None:
    meter = ProgressMeter(rate, burst)
    now = 0.0
    sent: list[tuple[float, float]] = []
    for pause, value in steps:
        now += pause
        if meter.weigh(value, now) is Verdict.SEND:
            sent.append((now, value))
    assert all(later > earlier for (_, earlier), (_, later) in itertools.pairwise(sent))
    assert len(sent) <= burst + now * rate + 1e-6


@given(
    st.lists(st.lists(st.floats(), max_size=10), max_size=10),
    st.floats(0.5, 100),
    st.integers(1, 20),
)
def test_reports_of_one_time_are_judged_as_one_by_one(runs: list[list[float]], rate: float, burst: int) -> None:
    together, one_by_one = ProgressMeter(rate, burst), ProgressMeter(rate, burst)
    for now, run in enumerate(runs):
        assert together.weigh_all(run, now) == [one_by_one.weigh(value, now) for value in run]


@pytest.mark.parametrize("value", ["1", 10**400])
def test_a_report_that_is_no_number_is_refused_and_the_next_one_passes(value: float) -> None:
    assert ProgressMeter(10, 10).weigh_all([1, value, 2], 0) == [Verdict.SEND, Verdict.REFUSE, Verdict.SEND]


def test_the_handshake_goes_forward_only() -> None:
    handshake = Handshake()
    assert handshake.phase is Phase.OPENING
    assert not handshake.take(Step.INITIALIZED)
    assert handshake.allows(Step.INITIALIZE)
    assert handshake.take(Step.INITIALIZE)
    assert handshake.phase is Phase.INITIALIZED
    assert not handshake.take(Step.INITIALIZE)
    assert handshake.take(Step.INITIALIZED)
    assert handshake.take(Step.INITIALIZED)  # some hosts say it twice
    assert handshake.phase is Phase.READY
    assert not handshake.allows(Step.INITIALIZE)


def test_every_phase_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Phase)


def test_every_reason_says_what_follows_on_the_wire() -> None:
    assert set(ANSWERS) == set(CancelReason)
    answered = {reason for reason, answer in ANSWERS.items() if answer is not None}
    assert answered == {CancelReason.DEADLINE, CancelReason.OVERLOAD, CancelReason.SHUTDOWN, CancelReason.OPERATOR}
    # Codes of our own stay out of what JSON-RPC reserves.
    assert all(not -32768 <= answer[0] <= -32000 for answer in ANSWERS.values() if answer is not None)
