"""What a model is worth: accuracy, by class too, and how far its confidence is off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulebox_build.judge.calibration import calibration_error


@dataclass(frozen=True)
class Quality:
    """Figures on labelled data: the same on every run."""

    accuracy: float
    class_accuracy: list[float]  # one for each class, in the order of the labels
    calibration_error: float


def evaluate(logits: NDArray[np.float32], labels: NDArray[np.int64], *, temperature: float) -> Quality:
    """Of logits `[N, classes]` for samples whose class numbers `[N]` have each class at least once."""
    right = logits.argmax(1) == labels
    return Quality(
        float(right.mean()),
        [float(right[labels == label].mean()) for label in range(logits.shape[1])],
        calibration_error(logits, labels, temperature),
    )
