"""How much quantization harms a model, on validation data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs, Split
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.judge.calibration import log_softmax
from joulebox_build.progress import Silent

Encode = Callable[[Inputs], NDArray[Any]]


@dataclass(frozen=True)
class Score:
    """Accuracy as a fraction, cross-entropy with the labels, and how far answers are from the fp32 model's, in nats.

    `divergence` is the mean Kullback-Leibler divergence of the softmax from fp32's: it has no noise of labels in it, so
    that it tells small harms apart where accuracy and cross-entropy do not.
    """

    accuracy: float
    cross_entropy: float
    divergence: float

    @property
    def rank(self) -> tuple[float, float]:
        """The better, the smaller: by accuracy, then by cross-entropy."""
        return (-self.accuracy, self.cross_entropy)


@dataclass(frozen=True)
class Exam:
    """Validation data with the fp32 model's answers `reference`: log-probabilities `[N, classes]`."""

    split: Split
    encode: Encode
    reference: NDArray[np.float64]

    def first(self, count: int) -> Exam:
        """The same with so many samples."""
        return Exam(self.split.first(count), self.encode, self.reference[:count])

    def score(self, model: bytes) -> Score:
        return self._score(_log_probabilities(model, self.split, self.encode))

    @property
    def fp32(self) -> Score:
        return self._score(self.reference)

    def _score(self, found: NDArray[np.float64]) -> Score:
        labels = self.split.labels
        divergences = (np.exp(self.reference) * (self.reference - found)).sum(1)
        return Score(
            accuracy=float((found.argmax(1) == labels).mean()),
            cross_entropy=-float(found[np.arange(len(labels)), labels].mean()),
            divergence=max(0.0, float(divergences.mean())),
        )


def open_exam(fp32: bytes, split: Split, encode: Encode) -> Exam:
    return Exam(split, encode, _log_probabilities(fp32, split, encode))


def _log_probabilities(model: bytes, split: Split, encode: Encode) -> NDArray[np.float64]:
    return log_softmax(mean_outputs([model], encode, split.inputs, Silent()).astype(np.float64))
