"""A fitted temperature undoes what was done to the logits, and the error is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.errors import BuildError
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


def test_few_samples_say_little_against_the_temperature_as_trained() -> None:
    """Those that are all right would have it as cold as can be, those that are all wrong as hot."""
    logits = np.asarray([[5.0, 0.0], [0.0, 3.0]], np.float32)
    assert 0.7 < fit_temperature(logits, np.asarray([0, 1])) < 1
    assert 1 < fit_temperature(logits, np.asarray([1, 0])) < 7
    assert fit_temperature(logits * 10_000, np.asarray([0, 1])) == 1, "each temperature fits as well"
    assert fit_temperature(logits * 0, np.asarray([0, 1])) == 1


@pytest.mark.parametrize("scale", [0.03, 30.0])
def test_thousands_of_samples_say_all(scale: float) -> None:
    """The temperature of least surprise, to a step of the grid, wherever it lies."""
    logits, labels = honest()
    assert fit_temperature(logits * np.float32(scale), labels) == pytest.approx(scale, rel=0.08)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_refused(value: float) -> None:
    logits, labels = honest(20)
    logits[7, 2] = value
    with pytest.raises(BuildError, match=f"logit of sample 7 for class 2 is {value}; expected finite numbers: see"):
        fit_temperature(logits, labels)


def test_the_error_is_small_when_honest_and_large_when_overconfident() -> None:
    logits, labels = honest()
    assert error(logits, labels) < 0.03
    assert error(logits * 10, labels) > 0.15


def test_the_error_is_by_hand_what_it_is() -> None:
    """Thirty samples in 15 bins of two: in each, one is right and one is wrong, at a confidence of 3/4."""
    logits = np.tile(np.log([[3.0, 1.0]]), (30, 1)).astype(np.float32)
    assert error(logits, np.arange(30) % 2) == pytest.approx(0.25)


def test_samples_of_one_confidence_are_right_as_often_as_they_are_on_average() -> None:
    """All are four fifths sure and four fifths are right, those first: there is no error, whatever lies in which bin."""
    logits = np.tile(np.log([[4.0, 1.0]]), (3000, 1)).astype(np.float32)
    assert error(logits, np.repeat([0, 1], [2400, 600])) == pytest.approx(0, abs=1e-6)


@given(seed=st.integers(0, 1000), count=st.integers(1, 200), kinds=st.integers(1, 60))
def test_the_order_of_the_samples_changes_nothing(seed: int, count: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(kinds, 3)).astype(np.float32)[random.integers(0, kinds, count)]  # with ties
    labels, order = random.integers(0, 3, count), random.permutation(count)
    assert reliability(logits, labels, 1.0) == reliability(logits[order], labels[order], 1.0)


@given(seed=st.integers(0, 1000), count=st.integers(1, 200))
def test_without_ties_each_bin_has_its_own_samples(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    margins, labels = random.permutation(count) + 1.0, random.integers(0, 2, count)
    logits = np.stack([margins / count, np.zeros(count)], 1).astype(np.float32)
    parts = np.array_split(labels[np.argsort(margins)] == 0, min(BINS, count))
    assert [each.accuracy for each in reliability(logits, labels, 1.0)] == [part.mean() for part in parts]


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
