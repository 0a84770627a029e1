"""A fitted temperature undoes what was done to the logits, and the error is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.judge.calibration import BINS, calibration_error, fit_temperature, reliability


def honest(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true chance of each label."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(count, 4)).astype(np.float32) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > random.random((count, 1))).argmax(1)
    return logits, labels


def error(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    return calibration_error(reliability(logits, labels, temperature))


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_over_and_underconfidence(scale: float) -> None:
    logits, labels = honest()
    assert fit_temperature(logits * np.float32(scale), labels) == pytest.approx(scale, rel=0.1)


def test_the_error_is_small_when_honest_and_large_when_overconfident() -> None:
    logits, labels = honest()
    assert error(logits, labels) < 0.03
    assert error(logits * 10, labels) > 0.15


def test_the_error_is_by_hand_what_it_is() -> None:
    """Thirty samples in 15 bins of two: in each, one is right and one is wrong, at a confidence of 3/4."""
    logits = np.tile(np.log([[3.0, 1.0]]), (30, 1)).astype(np.float32)
    assert error(logits, np.arange(30) % 2) == pytest.approx(0.25)


@given(seed=st.integers(0, 1000), count=st.integers(1, 70), temperature=st.floats(0.1, 10))
def test_bins_hold_equally_many_samples_by_rising_confidence(seed: int, count: int, temperature: float) -> None:
    random = np.random.default_rng(seed)
    logits = (random.normal(size=(count, 3)) * 50).astype(np.float32)
    bins = reliability(logits, random.integers(0, 3, count), temperature)
    sizes = [each.samples for each in bins]
    assert sum(sizes) == count
    assert len(bins) == min(BINS, count)
    assert max(sizes) - min(sizes) <= 1
    assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)
    assert 0 <= calibration_error(bins) <= 1
