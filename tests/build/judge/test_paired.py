"""Whether one model is really better than another on the same samples, and how sure a fraction is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from joulebox_build.judge.paired import Paired, paired, wilson

counts = st.integers(0, 400)


@given(first=counts, second=counts)
def test_the_p_value_is_that_of_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert Paired(1000, first, second).p_value == pytest.approx(expected, rel=1e-9)


@given(first=counts, second=counts)
def test_which_of_the_two_comes_first_changes_the_sign_alone(first: int, second: int) -> None:
    one, other = Paired(1000, first, second), Paired(1000, second, first)
    assert one.lead == -other.lead
    assert one.p_value == other.p_value
    assert one.interval == pytest.approx([-end for end in reversed(other.interval)])
    assert one.interval[0] <= one.lead <= one.interval[1]


def test_samples_on_which_both_are_right_or_both_wrong_say_nothing() -> None:
    first = np.asarray([True, True, False, True])
    second = np.asarray([True, False, False, False])
    assert paired(first, second) == Paired(4, only_first=2, only_second=0)
    assert Paired(4, 2, 0).p_value == Paired(40_000, 2, 0).p_value == 0.5


def test_large_test_sets_are_no_trouble() -> None:
    assert Paired(100_000, 6000, 5000).p_value < 1e-9
    assert Paired(100_000, 5000, 5000).p_value == 1.0


def test_the_interval_of_a_fraction_is_wilsons() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)


@given(samples=st.integers(1, 10_000), part=st.floats(0, 1))
def test_the_interval_of_a_fraction_holds_it(samples: int, part: float) -> None:
    right = round(part * samples)
    low, high = wilson(right, samples)
    assert 0 <= low <= right / samples + 1e-12
    assert right / samples - 1e-12 <= high <= 1
