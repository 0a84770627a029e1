"""Confidence: the softmax temperature that fits a model's logits to what came true, and how far off it is then."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15
COLDEST, HOTTEST, STEPS = 0.1, 10.0, 201


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017, arXiv:1706.04599), of a log-spaced grid, in three digits."""
    grid = np.geomspace(COLDEST, HOTTEST, STEPS)
    losses = [_negative_log_likelihood(logits.astype(np.float64) / temperature, labels) for temperature in grid]
    return float(f"{grid[int(np.argmin(losses))]:.3g}")


def calibration_error(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> float:
    """Expected calibration error: the mean distance of confidence from accuracy, over 15 bins of confidence."""
    probabilities = np.exp(_log_softmax(logits.astype(np.float64) / temperature))
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float(np.sum(confidence[number == bin_] - right[number == bin_]))) for bin_ in range(BINS)]
    return sum(gaps) / len(labels)


def _negative_log_likelihood(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return -float(_log_softmax(logits)[np.arange(len(labels)), labels].mean())


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
