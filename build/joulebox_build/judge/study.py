"""Whether the teacher helps: students with and without it, in pairs of one seed each; and what less data would do."""

# scipy annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95
SPREAD_MIN = 1e-9  # of accuracies, below which they differ by rounding alone


@dataclass(frozen=True)
class Arm:
    """One way of training: the accuracy of each seed's student, on validation and on test data, as fractions of one."""

    method: str
    validation: Sequence[float]
    test: Sequence[float]


@dataclass(frozen=True)
class Study:
    """Two arms by the same seeds; the gain is the mean of the differences on the test data, as a fraction of one.

    `interval` holds it with 95 % confidence (Student's t over the pairs): it speaks of seeds, not of other test data. There is
    none where all differences are the same, as nothing then says how far another seed's would lie off.
    """

    seeds: Sequence[int]
    epochs: int
    taught: Arm
    alone: Arm
    gain: float
    interval: tuple[float, float] | None
    verdict: str


@dataclass(frozen=True)
class DataPoint:
    """A student that was trained without a teacher on a part of the labelled data."""

    fraction: float
    samples: int
    validation_accuracy: float
    test_accuracy: float


def study(seeds: Sequence[int], epochs: int, taught: Arm, alone: Arm) -> Study:
    """Compares the arms, at least two seeds each."""
    gain, interval = paired([first - second for first, second in zip(taught.test, alone.test, strict=True)])
    return Study(tuple(seeds), epochs, taught, alone, gain, interval, verdict(gain, interval))


def paired(differences: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The mean, and what it lies in with 95 % confidence; None where there is no spread to tell that from."""
    found = np.asarray(differences, np.float64)
    mean, error = float(found.mean()), float(found.std(ddof=1)) / len(found) ** 0.5
    if np.ptp(found) < SPREAD_MIN:
        return mean, None
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(found) - 1)) * error
    return mean, (mean - half, mean + half)


def verdict(gain: float, interval: tuple[float, float] | None) -> str:
    """For people, in points of accuracy."""
    if interval is None:
        return f"the teacher makes {100 * gain:+.2f} points with each seed alike: no spread, so no interval"
    low, high = interval
    shown = f"{abs(100 * gain):.2f} points"
    if low > 0:
        return f"the teacher helps by {shown} [{100 * low:.2f}, {100 * high:.2f}]"
    if high < 0:
        return f"the teacher hurts by {shown} [{-100 * high:.2f}, {-100 * low:.2f}]"
    return f"the teacher does not help here: {100 * gain:+.2f} points [{100 * low:.2f}, {100 * high:.2f}]"
