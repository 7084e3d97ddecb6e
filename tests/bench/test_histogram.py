"""The histogram: its error is bounded, and histograms add up."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.bench.histogram import BITS, RELATIVE_ERROR, Histogram

times = st.integers(min_value=0, max_value=2**50)
percents = st.floats(min_value=0.001, max_value=100)


def exact(values: list[int], percent: float) -> int:
    """The least value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return next(value for at, value in enumerate(ordered, 1) if at >= len(values) * percent / 100 - 1e-9)


@given(st.lists(times, min_size=1), percents)
def test_a_percentile_is_never_too_low_and_hardly_too_high(values: list[int], percent: float) -> None:
    found, wanted = Histogram(values).percentile(percent), exact(values, percent)
    assert wanted <= found <= wanted + wanted * RELATIVE_ERROR
    assert found <= max(values)


@given(st.lists(st.integers(min_value=0, max_value=2 ** (BITS + 1) - 1), min_size=1), percents)
def test_small_values_are_exact(values: list[int], percent: float) -> None:
    assert Histogram(values).percentile(percent) == exact(values, percent)


@given(st.lists(times), st.lists(times))
def test_two_histograms_add_up_to_that_of_all_values(one: list[int], other: list[int]) -> None:
    added = Histogram(one)
    added.add(Histogram(other))
    assert added == Histogram(one + other)
    assert len(added) == len(one) + len(other)


@given(st.lists(times))
def test_it_survives_json(values: list[int]) -> None:
    histogram = Histogram(values)
    assert Histogram.from_json(json.loads(json.dumps(histogram.as_json()))) == histogram


@given(st.lists(times, min_size=1))
def test_least_greatest_and_mean_are_exact(values: list[int]) -> None:
    histogram = Histogram(values)
    assert (histogram.least, histogram.greatest) == (min(values), max(values))
    assert histogram.mean == sum(values) / len(values)
    assert sum(number for _, number in histogram) == len(values)


def test_the_number_of_buckets_is_bounded_by_the_range_and_not_by_the_values() -> None:
    histogram = Histogram(number * 7919 for number in range(100_000))
    assert len(histogram.counts) < 30 * 2**BITS


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(10**4, 10**6))
def test_a_corrected_histogram_has_the_values_that_a_waiting_caller_left_out(values: list[int], interval: int) -> None:
    histogram = Histogram(values)
    wanted = Histogram(values)
    for value, number in histogram:
        for missed in range(value - interval, interval - 1, -interval):
            for _ in range(number):
                wanted.record(missed)
    assert histogram.corrected(interval) == wanted


def test_a_corrected_histogram_of_an_hour_in_steps_of_a_microsecond_is_made_at_once() -> None:
    assert len(Histogram([1000, 3600 * 10**9]).corrected(1000)) == pytest.approx(3.6e9, rel=0.01)
    assert len(Histogram([0, 5]).corrected(0)) == 6, "an interval is at least 1"


def test_an_empty_histogram_is_all_zero() -> None:
    histogram = Histogram()
    assert (histogram.percentile(99), histogram.mean, len(histogram), list(histogram)) == (0, 0.0, 0, [])


def test_percentiles_do_not_count_one_too_far() -> None:
    histogram = Histogram(range(1, 101))
    assert list(histogram.percentiles((0, 1, 50, 99, 100))) == [1, 1, 50, 99, 100]
    assert Histogram([1] * 999 + [200]).percentile(99.9) == 1


def test_a_negative_value_counts_as_zero() -> None:
    assert Histogram([-5]).percentile(100) == 0


def test_buckets_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2\*\*3 buckets"):
        Histogram.from_json({**Histogram().as_json(), "bits": 3})
