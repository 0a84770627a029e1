"""A gain is said with its interval over seeds, and no more than that allows."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from joulebox_build.judge.study import Arm, paired, study, verdict

ACCURACIES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=10)


@given(ACCURACIES)
def test_the_interval_is_that_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    first, second = np.asarray(pairs).T
    if np.ptp(first - second) < 1e-6:
        return
    gain, interval = paired((first - second).tolist())
    expected = ttest_rel(first, second).confidence_interval(0.95)
    assert interval
    assert (gain, *interval) == pytest.approx(((first - second).mean(), expected.low, expected.high))


@pytest.mark.parametrize(
    ("gain", "interval", "said"),
    [
        (0.005, (0.003, 0.007), "the teacher helps by 0.50 points [0.30, 0.70]"),
        (-0.002, (-0.003, -0.001), "the teacher hurts by 0.20 points [0.10, 0.30]"),
        (0.001, (-0.002, 0.004), "the teacher does not help here: +0.10 points [-0.20, 0.40]"),
        (0.1, None, "the teacher makes +10.00 points with each seed alike: no spread, so no interval"),
    ],
)
def test_the_verdict_is_one_plain_sentence(gain: float, interval: tuple[float, float] | None, said: str) -> None:
    assert verdict(gain, interval) == said


@given(st.integers(2, 10), st.integers(0, 300), st.integers(0, 300))
def test_differences_without_spread_have_no_interval(seeds: int, first: int, second: int) -> None:
    differences = [first / 300 - second / 300 + offset for offset in [0.0, 1e-17] * seeds]
    gain, interval = paired(differences)
    assert (gain, interval) == (pytest.approx((first - second) / 300), None)


def test_a_study_is_of_test_figures_and_goes_into_json() -> None:
    taught, alone = Arm("hinton", (0.1, 0.1), (0.9, 0.91)), Arm("none", (0.9, 0.9), (0.89, 0.9))
    found = study((0, 1), 3, taught, alone)
    assert found.gain == pytest.approx(0.01)
    assert json.loads(json.dumps(asdict(found)))["alone"]["test"] == [0.89, 0.9]
