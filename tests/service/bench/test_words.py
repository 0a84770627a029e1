"""Figures are written in a unit that fits, and no finer than they are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.bench.words import joules_and_half, plus_minus, scaled_joules


@pytest.mark.parametrize(
    ("joules", "said"),
    [(3.21, "3.21 J"), (0.0042, "4.2 mJ"), (2.04e-4, "204 µJ"), (5e-9, "5 nJ"), (1234.0, "1,234 J")],
)
def test_joules_are_in_the_largest_unit_that_leaves_a_digit_before_the_point(joules: float, said: str) -> None:
    assert scaled_joules(joules) == said


@pytest.mark.parametrize(
    ("value", "ci95", "said"),
    [
        (2.04e-4, (2.01e-4, 2.07e-4), "204.0 ± 3.0 µJ"),
        (5.66e-4, (4.2e-4, 7.1e-4), "566 ± 144 µJ"),
        (0.9e-3, (0.0, 2e-3), "900 ± 1100 µJ"),
        (2.0, None, "2 J"),
    ],
)
def test_half_an_interval_has_the_unit_of_its_figure(value: float, ci95: tuple[float, float], said: str) -> None:
    assert joules_and_half(value, ci95) == said


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [(20.1234, 0.056, "20.123 ± 0.056"), (20.1, 12.3, "20 ± 12"), (3.0, 0.0, "3.000 ± 0.000")],
)
def test_a_figure_goes_to_the_second_digit_of_its_error(value: float, error: float, said: str) -> None:
    assert plus_minus(value, error) == said


@given(st.floats(0, 1e6), st.floats(1e-5, 1e6))
def test_what_is_written_is_what_is_known(value: float, error: float) -> None:
    said_value, said_error = (float(part) for part in plus_minus(value, error).split(" ± "))
    assert said_value == pytest.approx(value, abs=0.06 * error)
    assert said_error == pytest.approx(error, rel=0.06)
