"""Confidence: the softmax temperature that fits a model's logits to what came true, and how far off it is then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulebox_build.errors import BuildError

BINS = 15
COLDEST, HOTTEST, STEPS = 0.01, 100.0, 401


@dataclass(frozen=True)
class Bin:
    """Samples of about the same confidence: the mean of it, and how many of them are right, both as fractions."""

    confidence: float
    accuracy: float
    samples: int


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The likeliest temperature (Guo et al. 2017, arXiv:1706.04599) of a log-spaced grid, in three digits.

    Its logarithm has a normal prior, mean 0 and deviation 1, which says about as much as one sample does (a unit information
    prior, Kass and Wasserman 1995). Without one, a few samples that are all right would make the model certain, and a few
    that are all wrong would take away all it knows; among thousands it is not noticed.

    Raises:
        BuildError: a logit is no finite number.
    """
    wrong = np.argwhere(~np.isfinite(logits))
    if len(wrong):
        sample, label = wrong[0]
        raise BuildError(
            f"the logit of sample {sample} for class {label} is {logits[sample, label]}; expected finite numbers: "
            "see what the network does there, or train it at a lower learning_rate"
        )
    grid = np.geomspace(COLDEST, HOTTEST, STEPS)
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    meant = shifted[np.arange(len(labels)), labels]
    losses = [
        _surprise(shifted / temperature, meant / temperature) + np.log(temperature) ** 2 / 2 for temperature in grid
    ]
    return float(f"{grid[int(np.argmin(losses))]:.3g}")


def reliability(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> list[Bin]:
    """At most 15 bins of equally many samples, by rising confidence (Nixon et al. 2019, arXiv:1904.01685).

    Bins of equal width, as Guo et al. have them, hold nearly all samples of a good model in the last one. Samples of the
    same confidence may lie in several bins, so each counts as right as often as they are on average: the order of the
    samples changes nothing.
    """
    found, confidence = answered(logits, temperature)
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(BINS, len(labels)))
    _, tied, ties = np.unique(confidence, return_inverse=True, return_counts=True)
    right = (np.bincount(tied, found == labels) / ties)[tied]
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


def _surprise(logits: NDArray[np.float64], meant: NDArray[np.float64]) -> float:
    """The negative log-likelihood of all samples: of logits `[N, classes]` whose largest is 0, and those of the labels `[N]`."""
    return float((np.log(np.exp(logits).sum(1)) - meant).sum())


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes `[N, classes]`."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
