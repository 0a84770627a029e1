"""Scales: everything finds its place, and ticks are round and within."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.report.charts.scale import Scale, around

FIGURES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=8)


@given(values=FIGURES, log=st.booleans())
def test_every_value_lies_between_the_ends_and_ticks_do_too(values: list[float], log: bool) -> None:
    scale = around(values, 40, 350, log=log)
    assert all(40 <= scale(value) <= 350 for value in values)
    ticks = scale.ticks()
    assert ticks
    assert len(ticks) <= 24
    assert all(39.9 <= scale(tick) <= 350.1 for tick in ticks)


@given(values=FIGURES)
def test_a_larger_value_never_lies_before_a_smaller_one(values: list[float]) -> None:
    scale = around(values, 0, 100)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)


def test_ticks_are_round() -> None:
    assert Scale(0.811, 0.957, 0, 1).ticks() == pytest.approx([0.85, 0.9, 0.95])
    assert Scale(9_000, 2_000_000, 0, 1, log=True).ticks() == [10_000, 100_000, 1_000_000]


def test_one_value_alone_has_room_on_both_sides() -> None:
    assert 0 < around([5.0], 0, 100)(5.0) < 100
    assert 0 < around([0.0], 0, 100)(0.0) < 100
