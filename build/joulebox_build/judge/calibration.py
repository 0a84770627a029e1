"""Confidence: the softmax temperature that fits a model's logits to what came true, and how far off it is then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
COLDEST, HOTTEST, STEPS = 0.1, 10.0, 201


@dataclass(frozen=True)
class Bin:
    """Samples of about the same confidence: the mean of it, and how many of them are right, both as fractions."""

    confidence: float
    accuracy: float
    samples: int


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017, arXiv:1706.04599), of a log-spaced grid, in three digits."""
    grid = np.geomspace(COLDEST, HOTTEST, STEPS)
    losses = [_negative_log_likelihood(logits.astype(np.float64) / temperature, labels) for temperature in grid]
    return float(f"{grid[int(np.argmin(losses))]:.3g}")


def reliability(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> list[Bin]:
    """At most 15 bins of equally many samples, by rising confidence (Nixon et al. 2019, arXiv:1904.01685).

    Bins of equal width, as Guo et al. have them, hold nearly all samples of a good model in the last one.
    """
    found, confidence = answered(logits, temperature)
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(BINS, len(labels)))
    right = found == labels
    return [Bin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the mean distance of confidence from accuracy over the bins."""
    total = sum(each.samples for each in bins)
    return sum(each.samples * abs(each.confidence - each.accuracy) for each in bins) / total


def answered(logits: NDArray[np.float32], temperature: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class that each sample is taken for, and its probability, both `[N]`."""
    found = logits.argmax(1)
    return found, probabilities(logits, temperature)[np.arange(len(found)), found]


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Of each class, `[N, classes]`."""
    return np.exp(log_softmax(logits.astype(np.float64) / temperature))


def _negative_log_likelihood(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return -float(log_softmax(logits)[np.arange(len(labels)), labels].mean())


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes `[N, classes]`."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
