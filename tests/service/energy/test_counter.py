"""A counter's steps add up; what a step cannot tell is unknown, never negative and never invented."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import ReadError
from joulebox.energy.counter import Accumulator

RANGE = 65_532_610_987


@given(st.lists(st.tuples(st.integers(0, 1_000_000_000), st.floats(1, 60)), max_size=50), st.integers(0, RANGE - 1))
def test_the_sum_is_right_through_any_number_of_wraps(steps: list[tuple[int, float]], first: int) -> None:
    now_s = 0.0
    count = Accumulator(1e-6, RANGE, lambda: now_s)
    total, joules = first, count.add(first)
    for step, seconds in steps:
        now_s += seconds
        total += step
        joules = count.add(total % RANGE)
    assert joules == pytest.approx((total - first) * 1e-6)


def test_a_counter_that_never_falls_says_so_when_it_does(clock: Any) -> None:
    count = Accumulator(1e-3, None, clock)
    count.add(5000)
    with pytest.raises(ReadError, match="fell by 4000"):
        count.add(1000)
    assert count.add(1500) == 0.0, "it begins anew"
    assert count.add(2500) == pytest.approx(1.0)


def test_a_fall_too_large_for_the_time_is_a_reset(clock: Any) -> None:
    count = Accumulator(1e-6, RANGE, clock)
    count.add(RANGE // 2)
    clock.sleep(0.25)
    with pytest.raises(ReadError, match="reset"):
        count.add(0)


def test_what_was_unread_for_longer_than_a_wrap_takes_is_unknown(clock: Any) -> None:
    count = Accumulator(1e-6, RANGE, clock)
    count.add(1_000_000)
    clock.sleep(3600)
    with pytest.raises(ReadError, match="3600 s"):
        count.add(2_000_000)
    clock.sleep(3600)
    assert count.add(3_000_000) == 0.0


def test_a_restart_leaves_out_what_came_before(clock: Any) -> None:
    count = Accumulator(1, None, clock)
    count.add(10)
    count.add(20)
    count.restart()
    assert count.add(1000) == 10
    assert count.add(1001) == 11
