"""Idle power of a host that is never quiet is sought where little ran, and is kept back where that does not say enough."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from joulebox.energy.intercept import Intercept
from joulebox.energy.intervals import Interval

A, B = ("a", "1"), ("b", "1")
RNG = np.random.default_rng(1)
SHARES = RNG.uniform(0, 1, (300, 2)).tolist()


def found(power: Callable[[float, float], float], shares: list[list[float]] = SHARES) -> float | None:
    """By half-second intervals in which A and B are busy for these parts of the time."""
    intercept = Intercept()
    for a, b in shares:
        ran = {key: part / 2 for key, part in ((A, a), (B, b)) if part}
        intercept.learn(Interval(power(a, b) / 2, 0.5, ran, {}, (A, B), 0.0, None, quiet=False, tail=False))
    return intercept.idle.watts if intercept.idle else None


def test_a_straight_line_has_its_intercept() -> None:
    assert found(lambda a, b: 20 + 60 * a + 25 * b) == pytest.approx(20)


def test_noise_is_averaged_out() -> None:
    assert found(lambda a, b: (20 + 60 * a + 25 * b) * RNG.normal(1, 0.05)) == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize(
    "power",
    [lambda a, b: min(60.0, 20 + 60 * a + 25 * b), lambda a, b: 20 + (60 * a + 25 * b) * max(0.3, (a + b) / 2) ** 2],
)
def test_where_power_is_no_straight_line_what_lies_near_rest_counts(power: Callable[[float, float], float]) -> None:
    often_near = [[a**3, b**3] for a, b in SHARES]
    assert found(power, often_near) == pytest.approx(20, rel=0.04)


def test_nothing_is_said_after_too_short_a_time() -> None:
    assert found(lambda a, b: 20 + 60 * a + 25 * b, SHARES[:50]) is None


def test_nothing_is_said_where_busy_time_hardly_varied() -> None:
    near = [[0.90 + 0.02 * a, 0.90 + 0.02 * b] for a, b in SHARES]
    assert found(lambda a, b: 20 + 60 * a + 25 * b, near) is None


def test_nothing_is_said_where_parts_of_the_past_disagree() -> None:
    def drifting(a: float, b: float) -> float:
        return RNG.uniform(5, 60) + 60 * a + 25 * b

    assert found(drifting) is None
