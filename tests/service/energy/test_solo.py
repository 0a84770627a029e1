"""What a model uses alone is known from intervals in which nothing else ran, and only where they agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy.idle import Idle
from joulebox.energy.intervals import Interval
from joulebox.energy.solo import Solo

A, B = ("a", "1"), ("b", "1")
IDLE = Idle(20.0, 0.1, "learnt")


def interval(joules: float, *, tail: bool = False, **busy_s: float) -> Interval:
    """Of one second."""
    ran = {(name, "1"): seconds for name, seconds in busy_s.items()}
    return Interval(joules, 1.0, ran, {}, (A, B), 0.0, None, quiet=False, tail=tail)


def seen(*intervals: Interval) -> Solo:
    solo = Solo()
    for each in intervals:
        solo.learn(each, IDLE)
    return solo


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=50), st.floats(1.0, 200.0))
def test_its_watts_are_its_joules_beyond_idle_power_over_its_busy_time(busy: list[float], watts: float) -> None:
    solo = seen(*(interval(20 + watts * busy_s, a=busy_s) for busy_s in busy))
    found = solo.watts([A])
    assert found is None if sum(busy) < 1 else found in ({A: pytest.approx(watts)}, None)
    if sum(busy) > 1.5:
        assert found == {A: pytest.approx(watts)}


def test_what_ran_beside_others_or_is_carried_over_says_nothing() -> None:
    solo = seen(*[interval(90, a=0.5, b=0.5)] * 9, *[interval(30, a=0.5, tail=True)] * 9)
    assert solo.watts([A]) is None


def test_all_that_run_have_to_be_known() -> None:
    solo = seen(*[interval(50, a=0.5)] * 9, interval(40, b=0.5))
    assert solo.watts([A]) == {A: pytest.approx(60)}
    assert solo.watts([A, B]) is None


def test_intervals_that_disagree_leave_it_unknown() -> None:
    assert seen(*[interval(25, a=0.5), interval(75, a=0.5)] * 9).watts([A]) is None


def test_the_newest_counts_most() -> None:
    changed = seen(*[interval(50, a=0.5)] * 100, *[interval(80, a=0.5)] * 200)
    assert changed.watts([A]) == {A: pytest.approx(120, rel=0.05)}
