"""Conditions, the verdict on a run, and the search for the highest rate."""

from __future__ import annotations

import attrs
import pytest

from tests.bench.reports import histogram, result
from trimcp.bench.conditions import condition_of
from trimcp.bench.find_max import Step, best, judged, limit, plan_at, rate_after
from trimcp.bench.plan import Open, Plan
from trimcp.bench.result import ServerResult
from trimcp.bench.verdict import verdict_on
from trimcp.errors import UsageError

SERVER = ServerResult(processes=2, cpu=1.0, memory=2**20, peak=3 * 2**20)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("p50>1ms", 0.050),
        ("p99.9 > 1ms", 0.100),
        ("min<2ms", 0.001),
        ("max<=1s", 0.100),
        ("mean>0ms", 0.0505),
        ("sent.p99>50ms", 0.001),
        ("opening.max<1s", 0.007),
        ("add:p50>1ms", 0.050),
        ("add:errors>1", 2),
        ("errors>1%", 2 / 102),
        ("dropped>0", 0),
        ("rate<1000", 50),
        ("add:rate<1000", 50),
        ("memory>1m", 3 * 2**20),
        ("cpu>90%", 0.5),
        ("lost>0", 1),
        ("failed>=3", 3),
    ],
)
def test_a_condition_reads_its_figure(text: str, value: float) -> None:
    assert condition_of(text).value(result(server=SERVER)) == pytest.approx(value, rel=0.01)


def test_a_condition_compares_with_its_bound_in_its_unit() -> None:
    assert condition_of("p99<50ms").holds(0.0499)
    assert not condition_of("p99<50ms").holds(0.05)
    assert condition_of("p99<=50ms").holds(0.05)
    assert condition_of("errors>0.1%").holds(0.0011)
    assert condition_of("errors>1").holds(2)
    assert condition_of("memory>=1k").holds(1024)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("p99", "not a condition"),
        ("p99=5ms", "not a condition"),
        ("p101<5ms", "at most p100"),
        ("speed<5", "no figure speed"),
        ("p99<5k", "not a duration"),
        ("rate<5%", "without a unit"),
        ("errors>5ms", "without a unit"),
        ("memory>5s", "not a size"),
    ],
)
def test_a_wrong_condition_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        condition_of(text)


def test_a_condition_on_what_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no operation sub"):
        condition_of("sub:p99<5ms").value(result())
    with pytest.raises(UsageError, match="only a closed loop has corrected times"):
        condition_of("corrected.p99>5ms").value(result())
    with pytest.raises(UsageError, match="--server-pid"):
        condition_of("memory>1m").value(result())


# --- the verdict ----------------------------------------------------------------------


def test_a_generator_that_kept_up_makes_a_valid_run() -> None:
    verdict = verdict_on(result())
    assert verdict.word == "valid"
    assert verdict.lines() == ["valid: the load generator kept up"]


def test_a_busy_generator_makes_a_run_invalid_and_says_so() -> None:
    verdict = verdict_on(result(cpu=0.81))
    assert verdict.word == "invalid"
    assert "81% of a processor" in verdict.lines()[0]
    assert "--workers" in verdict.lines()[0]
    assert verdict_on(result(cpu=0.8)).word == "valid"


def test_a_generator_that_waits_for_a_processor_makes_a_run_invalid() -> None:
    verdict = verdict_on(result(cpu=0.5, waited=0.4))
    assert verdict.word == "invalid"
    assert "waited for it for another 40%" in verdict.lines()[0]
    assert verdict_on(result(cpu=0.5, waited=0.2)).word == "valid"


def test_a_closed_loop_says_how_much_of_it_was_the_generator() -> None:
    verdict = verdict_on(result(cpu=0.4, waited=0.2), is_closed=True)
    assert verdict.word == "valid"
    assert "worked for 40% of the time, and waited for a processor for 20%" in verdict.lines()[1]
    assert "up to 2.5 times" in verdict.lines()[1]
    assert not verdict_on(result(cpu=0.1), is_closed=True).notes
    assert not verdict_on(result(cpu=0.6)).notes


def test_an_interrupted_run_says_so_first() -> None:
    verdict = verdict_on(attrs.evolve(result(cpu=0.9), is_interrupted=True), [condition_of("p99>50ms")])
    assert verdict.word == "interrupted"
    assert [line.partition(":")[0] for line in verdict.lines()] == ["INTERRUPTED", "INVALID", "FAILED"]


def test_a_late_generator_makes_a_run_invalid_and_says_so() -> None:
    late = histogram(*[0.1] * 98, 20, 20)
    verdict = verdict_on(result(late=late))
    assert verdict.word == "invalid"
    assert "late by 20.0 ms" in verdict.lines()[0]
    assert verdict_on(result(late=late), most_late=0.05).word == "valid"


def test_a_run_without_a_result_is_invalid() -> None:
    assert "no request had a result" in verdict_on(result(due=histogram())).lines()[0]


def test_gates_pass_or_fail_with_the_value_that_was_found() -> None:
    gates = [condition_of("p99>50ms"), condition_of("errors>5%")]
    verdict = verdict_on(result(), gates)
    assert verdict.word == "failed"
    assert verdict.lines() == ["FAILED: fails if p99>50ms, found 99.1 ms", "passed: fails if errors>5%, found 1.961%"]
    assert verdict_on(result(), gates[1:]).word == "passed"
    assert verdict_on(result(cpu=0.9), gates).word == "invalid"


# --- the search -----------------------------------------------------------------------


def searched(capacity: float, generator: float = float("inf"), first: float = 100.0) -> list[Step]:
    """Search on a server that holds p99<50ms up to a rate, with a generator that makes up to another."""
    steps: list[Step] = []
    while (rate := rate_after(steps, first)) is not None:
        slow = rate > capacity
        found = result(due=histogram(100 if slow else 10), rate=rate, cpu=0.9 if rate > generator else 0.2)
        steps.append(judged(rate, found, [condition_of("p99<50ms")]))
    return steps


@pytest.mark.parametrize("capacity", [3, 90, 150, 1234, 50_000])
def test_the_search_ends_close_below_the_rate_that_is_held(capacity: float) -> None:
    steps = searched(capacity)
    held = best(steps)
    assert held is not None
    assert capacity / 1.06 < held.rate <= capacity
    assert len(steps) < 20
    missed = limit(steps)
    assert missed is not None
    assert missed.reasons == ("p99<50ms: 100 ms",)


def test_a_search_without_a_rate_that_is_held_ends() -> None:
    steps = searched(0.1)
    assert best(steps) is None
    assert min(step.rate for step in steps) >= 1


def test_a_generator_at_its_limit_is_tried_twice_and_then_named() -> None:
    steps = searched(10_000, generator=1000)
    held, missed = best(steps), limit(steps)
    assert held is not None
    assert missed is not None
    assert 900 < held.rate <= 1000
    assert missed.invalid
    assert [step.rate for step in steps].count(missed.rate) == 2


def test_dropped_requests_and_missing_results_mean_that_a_rate_is_not_held() -> None:
    assert judged(50, result(dropped=1), []).reasons == ("1 requests were dropped",)
    few = result()
    few.offered = 200
    assert judged(100, few, []).reasons == ("only 50/s of 100/s were achieved",)


def test_a_plan_for_a_rate_keeps_the_rest() -> None:
    plan = plan_at(Plan(sessions=3), 70)
    assert isinstance(plan.load, Open)
    assert (plan.load.schedule.first, plan.sessions) == (70, 3)
