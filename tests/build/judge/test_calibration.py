"""A fitted temperature undoes what was done to the logits, and the error is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.judge.calibration import calibration_error, fit_temperature


def honest(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true chance of each label."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(count, 4)).astype(np.float32) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > random.random((count, 1))).argmax(1)
    return logits, labels


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_over_and_underconfidence(scale: float) -> None:
    logits, labels = honest()
    assert fit_temperature(logits * np.float32(scale), labels) == pytest.approx(scale, rel=0.1)


def test_the_error_is_small_when_honest_and_large_when_overconfident() -> None:
    logits, labels = honest()
    assert calibration_error(logits, labels, 1.0) < 0.03
    assert calibration_error(logits * 10, labels, 1.0) > 0.15


@given(seed=st.integers(0, 1000), temperature=st.floats(0.1, 10))
def test_the_error_is_a_fraction(seed: int, temperature: float) -> None:
    random = np.random.default_rng(seed)
    logits = (random.normal(size=(20, 3)) * 50).astype(np.float32)
    assert 0 <= calibration_error(logits, random.integers(0, 3, 20), temperature) <= 1
