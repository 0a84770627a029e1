"""Quantiles within 1 % of the exact ones, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.bench.histogram import BUCKETS, Histogram

DURATIONS = st.lists(st.floats(2e-6, 4000.0), min_size=1, max_size=200)


def filled(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for duration in durations:
        histogram.record(duration)
    return histogram


@given(DURATIONS, st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_quantile_is_within_one_percent_of_the_exact_one(durations: list[float], fraction: float) -> None:
    exact = float(np.quantile(durations, fraction, method="inverted_cdf"))
    assert filled(durations).quantile(fraction) == pytest.approx(exact, rel=0.01)


@given(DURATIONS)
def test_count_sum_and_maximum_are_exact(durations: list[float]) -> None:
    histogram = filled(durations)
    assert histogram.count == len(durations)
    assert histogram.total_s == pytest.approx(sum(durations))
    assert histogram.max_s == max(durations)


@pytest.mark.parametrize("duration", [0.0, 1e-12, 1e9])
def test_what_lies_outside_the_range_counts_at_its_edge(duration: float) -> None:
    histogram = filled([duration])
    assert histogram.count == 1
    assert histogram.quantile(0.5) is not None
    assert histogram.max_s == duration


def test_nothing_has_no_quantile_and_no_mean() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean_s is None


def test_its_size_is_fixed() -> None:
    assert BUCKETS == 2048
