"""How often two models say the same: what a model without labelled data is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulebox_build.judge.calibration import probabilities


@dataclass(frozen=True)
class Agreement:
    """Fractions of one, on the test samples."""

    samples: int
    agreement: float
    sure_samples: int  # where the reference's confidence is at least `sure`
    sure_agreement: float | None  # None where there are none
    groups: dict[str, dict[str, float]]  # name to group to its agreement


def compare(
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    *,
    sure: float,
    groups: Mapping[str, NDArray[np.str_]],
) -> Agreement:
    """Of logits `[N, classes]` of the same samples."""
    same = reference.argmax(1) == candidate.argmax(1)
    confident = probabilities(reference, 1.0).max(1) >= sure
    return Agreement(
        samples=len(same),
        agreement=float(same.mean()),
        sure_samples=int(confident.sum()),
        sure_agreement=float(same[confident].mean()) if confident.any() else None,
        groups={
            name: {str(one): float(same[group == one].mean()) for one in np.unique(group)}
            for name, group in groups.items()
        },
    )
