"""What a model is worth on labelled data: how right, how sure, on whom it fails, and where it differs from its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from joulebox_build.judge.calibration import Bin, answered, calibration_error, reliability
from joulebox_build.judge.paired import wilson
from joulebox_build.judge.slices import Group, groups_of, large, worst

MISTAKES = 24
CONFUSION_CLASSES_MAX = 64  # of more, nobody reads the matrix


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: the sample's number in its split, its class number, the one answered, and with which probability."""

    sample: int
    label: int
    answer: int
    confidence: float


@dataclass(frozen=True)
class Corrupted:
    """On the same samples, corrupted."""

    kind: str
    severity: int
    accuracy: float


@dataclass(frozen=True)
class Quality:
    """Figures on labelled data: the same on every run. Accuracies are fractions."""

    accuracy: float
    class_accuracy: list[float]  # one for each class, in the order of the labels
    calibration_error: float  # over 15 bins of equally many samples, at the temperature
    samples: int
    ci95: list[float]  # of the accuracy, Wilson's
    reliability: list[Bin]
    groups: list[Group]  # of each slice, `class` among them
    worst_group: Group | None  # of those that are large enough to be judged
    agreement: float  # part of the samples on which it answers what the teacher does
    confusion: list[list[int]] | None  # true class to answered class, how many; None where there are too many classes
    mistakes: list[Mistake]  # the most confident first
    corruptions: list[Corrupted] = field(default_factory=list[Corrupted])  # as the recipe has them


@dataclass(frozen=True)
class Asked:
    """What was asked of the models, and what the teacher answers, logits `[N, classes]`."""

    labels: NDArray[np.int64]
    names: tuple[str, ...]
    slices: Mapping[str, NDArray[np.str_]]
    teacher: NDArray[np.float32]


def evaluate(logits: NDArray[np.float32], asked: Asked, *, temperature: float, slice_samples_min: int) -> Quality:
    """Of logits `[N, classes]` for samples that have each class at least once."""
    labels, classes = asked.labels, len(asked.names)
    found, confidence = answered(logits, temperature)
    right, bins = found == labels, reliability(logits, labels, temperature)
    groups = groups_of(right, {**asked.slices, "class": np.asarray(asked.names)[labels]})
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return Quality(
        accuracy=float(right.mean()),
        class_accuracy=[float(right[labels == label].mean()) for label in range(classes)],
        calibration_error=calibration_error(bins),
        samples=len(labels),
        ci95=list(wilson(int(right.sum()), len(labels))),
        reliability=bins,
        groups=groups,
        worst_group=worst(large(groups, slice_samples_min)),
        agreement=float((found == asked.teacher.argmax(1)).mean()),
        confusion=_confusion(labels, found, classes) if classes <= CONFUSION_CLASSES_MAX else None,
        mistakes=[Mistake(int(n), int(labels[n]), int(found[n]), float(confidence[n])) for n in surest],
    )


def _confusion(labels: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> list[list[int]]:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, found), 1)
    return counts.tolist()
