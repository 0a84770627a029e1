"""The arithmetic of turns: what drifts cancels out, what is not known is left out, and what an interval says holds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import Device
from joulebox.energy.confidence import quantile
from joulebox.energy.phase import Used
from joulebox.energy.turns import Part, energy_of, mean_and_error, part_of

COUNTER = Device("cpu-package-0", "rapl", "measured", "a test")
MODEL = Device("cpu", "estimate", "estimated", "a test", kind="model", idle_watts=2.0)
T95 = {2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045}  # by degrees of freedom, of Student's own table

watts = st.floats(0.01, 1e4)
rates = st.floats(1e-3, 1e6)
parts = st.builds(lambda idle, more, rate: Part(idle + more, idle, rate), watts, watts, rates)
turns = st.lists(st.lists(parts, min_size=2, max_size=2), min_size=3, max_size=30)


def used(watts: float, seconds: float = 1.0, runs: float = 0.0) -> Used:
    return Used(watts * seconds, seconds, runs)


def test_a_part_is_work_above_the_rests_around_it() -> None:
    part = part_of(COUNTER, used(19.0), used(35.0, 2.0, 100.0), used(21.0))
    assert isinstance(part, Part)
    assert (part.watts, part.idle_watts, part.dynamic_watts, part.runs_per_s) == (35.0, 20.0, 15.0, 50.0)


@given(st.floats(-5, 5), st.floats(1, 50), st.floats(0, 100))
def test_idle_power_that_drifts_steadily_cancels_out(per_s: float, idle: float, dynamic: float) -> None:
    """A rest half as long as the work lies as far before its middle as one behind it."""
    part = part_of(COUNTER, used(idle - 0.75 * per_s), used(idle + dynamic, 1.0, 10.0), used(idle + 0.75 * per_s))
    assert isinstance(part, Part)
    assert part.dynamic_watts == pytest.approx(dynamic, abs=1e-9)


def test_what_an_estimate_assumes_at_rest_needs_no_rest() -> None:
    part = part_of(MODEL, None, used(5.0, 1.0, 10.0), None)
    assert isinstance(part, Part)
    assert (part.idle_watts, part.dynamic_watts) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("before", "work", "after", "why"),
    [
        ("gone", used(30.0, 1.0, 3.0), used(20.0), "cpu-package-0, at rest: gone"),
        (used(20.0), "gone", used(20.0), "cpu-package-0: gone"),
        (used(20.0), used(30.0, 1.0, 3.0), "gone", "cpu-package-0, at rest: gone"),
        (used(20.0), used(30.0), used(20.0), "cpu-package-0: no run was computed in 1 s of work"),
    ],
)
def test_a_part_that_failed_says_why(before: Any, work: Any, after: Any, why: str) -> None:
    assert part_of(COUNTER, before, work, after) == why


@given(turns, st.integers(1, 64))
def test_the_mean_lies_in_its_interval_and_the_whole_is_the_sum_of_its_parts(taken: Any, items: int) -> None:
    found = energy_of(taken, items)
    assert found.joules_per_item is not None
    assert found.total_joules_per_item is not None
    assert found.ci95 is not None
    assert found.idle_watts is not None
    assert 0 <= found.ci95[0] <= found.joules_per_item <= found.ci95[1]
    at_rest = [sum((part.idle_watts or 0) / part.runs_per_s for part in turn) / items for turn in taken]
    assert found.total_joules_per_item - sum(at_rest) / len(at_rest) == pytest.approx(
        found.joules_per_item, rel=1e-6, abs=1e-9 * found.total_joules_per_item
    )
    assert (found.turns, found.left_out, found.why) == (len(taken), 0, None)


@given(turns, st.integers(1, 64), st.floats(0.1, 100))
def test_twice_the_power_is_twice_the_joules_and_the_order_of_turns_does_not_matter(
    taken: Any, items: int, factor: float
) -> None:
    once = energy_of(taken, items)
    more = [
        [Part(part.watts * factor, (part.idle_watts or 0) * factor, part.runs_per_s) for part in turn] for turn in taken
    ]
    again = energy_of(more[::-1], items)
    assert again.joules_per_item == pytest.approx(factor * (once.joules_per_item or 0), rel=1e-6)


@given(turns, st.data())
def test_a_turn_that_is_left_out_changes_nothing_but_the_count(taken: Any, data: Any) -> None:
    at = data.draw(st.integers(0, len(taken)))
    found, whole = energy_of([*taken[:at], "gone", *taken[at:]], 1), energy_of(taken, 1)
    assert (found.joules_per_item, found.ci95, found.left_out) == (whole.joules_per_item, whole.ci95, 1)
    assert found.why == "gone (1 ×)"


def test_with_fewer_than_three_turns_there_is_no_interval() -> None:
    turn = [Part(30.0, 20.0, 10.0)]
    found = energy_of([turn, turn, "gone"], 1)
    assert (found.joules_per_item, found.ci95) == (1.0, None)


def test_with_fewer_than_half_of_the_turns_nothing_is_claimed() -> None:
    found = energy_of([[Part(30.0, 20.0, 10.0)], "gone", "gone"], 1)
    assert (found.joules_per_item, found.ci95, found.idle_watts) == (None, None, None)
    assert found.why == "gone (2 ×)"
    assert energy_of([], 1).why == "nothing was measured"


def test_work_that_cannot_be_told_apart_from_rest_is_unknown_and_not_zero() -> None:
    found = energy_of([[Part(20.0 + noise, 20.0, 10.0)] for noise in (-0.2, 0.1, -0.1)], 1)
    assert found.joules_per_item is None
    assert found.why is not None
    assert "cannot be told apart from rest" in found.why


def test_without_idle_power_the_total_is_unknown_and_what_is_above_it_is_not() -> None:
    found = energy_of([[Part(3.0, None, 10.0)]] * 3, 2)
    assert (found.joules_per_item, found.total_joules_per_item, found.idle_watts) == (pytest.approx(0.15), None, None)


@pytest.mark.parametrize(("freedom", "expected"), T95.items())
def test_the_quantile_is_that_of_the_table(freedom: int, expected: float) -> None:
    assert quantile(freedom + 1) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("count", [3, 5, 12])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int) -> None:
    chance = random.Random(count)
    held = 0
    for _ in range(2000):
        noisy = [[Part(chance.gauss(35, 2), chance.gauss(20, 1), 10.0)] for _ in range(count)]
        low, high = energy_of(noisy, 1).ci95 or (0.0, 0.0)
        held += low <= 1.5 <= high
    assert held == pytest.approx(1900, abs=40)


def test_the_error_of_a_mean_is_its_spread_over_the_root_of_their_number() -> None:
    assert mean_and_error([1.0, 2.0, 3.0, 4.0]) == (2.5, pytest.approx((5 / 3 / 4) ** 0.5))
    assert mean_and_error([1.0])[1] == float("inf")
