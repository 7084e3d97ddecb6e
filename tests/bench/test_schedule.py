"""When requests are due: at the rates of a schedule, divided among processes without a gap."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.bench.quantities import seconds, shown_bytes, shown_seconds, size
from trimcp.bench.schedule import Schedule, Share, Stage, stages_of
from trimcp.errors import UsageError

stages = st.builds(
    Stage,
    st.integers(min_value=0, max_value=500).map(lambda number: number / 100),
    st.integers(min_value=0, max_value=200).map(float),
)


def test_a_steady_rate_has_even_arrivals() -> None:
    first = list(itertools.islice(Schedule.steady(100).arrivals("constant"), 5))
    assert first == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])


@given(st.lists(stages, max_size=5).map(tuple), st.integers(min_value=0, max_value=100))
def test_as_many_arrive_as_the_rates_add_up_to(stages: tuple[Stage, ...], first: int) -> None:
    schedule = Schedule(float(first), stages)
    times = list(schedule.arrivals("constant"))
    area, rate = 0.0, float(first)
    for stage in stages:
        area, rate = area + (rate + stage.rate) / 2 * stage.seconds, stage.rate
    assert len(times) == pytest.approx(area, abs=1.001)
    assert times == sorted(times)
    assert all(0 <= time <= schedule.seconds + 1e-6 for time in times)


def test_a_rate_that_rises_evenly_has_half_of_its_requests_late() -> None:
    times = list(stages_of("10s:100").arrivals("constant"))
    assert len(times) == 500
    assert sum(time < 5 for time in times) == pytest.approx(125, abs=1)


@pytest.mark.parametrize("number", [2, 3])
def test_shares_of_even_arrivals_are_the_whole(number: int) -> None:
    schedule = stages_of("2s:50,1s:0")
    whole = list(schedule.arrivals("constant"))
    shares = [list(schedule.arrivals("constant", Share(each, number))) for each in range(number)]
    assert sorted(itertools.chain(*shares)) == pytest.approx(whole)


def test_poisson_arrivals_have_the_mean_and_the_variance_of_their_rate() -> None:
    times = list(Schedule.steady(100, 1000).arrivals("poisson", seed=1))
    assert len(times) == pytest.approx(100_000, rel=0.02)
    gaps = [later - time for time, later in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.03)


def test_shares_of_poisson_arrivals_add_up_to_the_rate() -> None:
    schedule = Schedule.steady(100, 200)
    assert sum(
        len(list(schedule.arrivals("poisson", Share(each, 4), seed=each))) for each in range(4)
    ) == pytest.approx(20_000, rel=0.03)


def test_a_warm_up_has_the_first_rate_of_its_schedule() -> None:
    assert len(list(Schedule.steady(10, 2).preceded_by(3).arrivals("constant"))) == 50
    times = list(stages_of("2s:10,1s:10").preceded_by(1).arrivals("constant"))
    assert sum(time <= 1 for time in times) == 10
    assert len(times) == 30


def test_a_share_divides_numbers_without_a_rest() -> None:
    assert [Share(each, 3).part(10) for each in range(3)] == [4, 3, 3]


@pytest.mark.parametrize("text", ["", "10", "10s:", "10s:5ms", "x:1", "0:100", "10s:0"])
def test_wrong_stages_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        stages_of(text)


def test_quantities_have_units() -> None:
    assert [seconds(text) for text in ("2", "2s", "500ms", "3m", "1h", "20us")] == [
        *(2, 2, 0.5, 180, 3600),
        pytest.approx(20e-6),
    ]
    assert [size(text) for text in ("100", "1k", "64KiB", "1m")] == [100, 1024, 65536, 2**20]
    for wrong in ("", "s", "-1s", "1x", "1e9", "9999999999"):
        with pytest.raises(UsageError):
            seconds(wrong)
    with pytest.raises(UsageError):
        size("1s")


def test_quantities_are_shown_with_three_digits() -> None:
    assert [shown_seconds(value) for value in (0, 5e-9, 1.5e-6, 0.0123, 0.99999, 75.0)] == [
        "0", "5 ns", "1.50 µs", "12.3 ms", "1.00 s", "75.0 s"
    ]  # fmt: skip
    assert [shown_bytes(value) for value in (5, 1536, 2**20 * 200)] == ["5 B", "1.50 KiB", "200 MiB"]
