"""Groups of samples, such as a class or the dark images, and how right a model is on each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from joulebox_build.judge.paired import wilson


@dataclass(frozen=True)
class Group:
    """One group of one slice; `ci95` is Wilson's interval of the accuracy."""

    slice: str
    group: str
    samples: int
    accuracy: float
    ci95: list[float]

    def describe(self) -> str:
        """For people."""
        low, high = self.ci95
        return (
            f"{self.slice} {self.group}: {self.accuracy:.2%} of {self.samples}, 95 % interval {low:.2%} to {high:.2%}"
        )


def groups_of(right: NDArray[np.bool_], slices: Mapping[str, NDArray[np.str_]]) -> list[Group]:
    """Each group that has samples, by the names of slice and group.

    Args:
        right: whether the model is right on each sample, `[N]`.
        slices: from a slice's name to each sample's group there, `[N]`.
    """
    return [
        _group(name, str(group), right[of == group]) for name, of in sorted(slices.items()) for group in np.unique(of)
    ]


def _group(name: str, group: str, right: NDArray[np.bool_]) -> Group:
    count = int(right.sum())
    return Group(name, group, len(right), count / len(right), list(wilson(count, len(right))))


def large(groups: Iterable[Group], samples_min: int) -> list[Group]:
    """Those that say something: of fewer samples, chance alone makes some look bad."""
    return [group for group in groups if group.samples >= samples_min]


def widest(groups: Sequence[Group]) -> tuple[Group, Group] | None:
    """The worst and the best group of the slice where these are furthest apart; None without groups."""
    parts = [list(part) for _, part in groupby(groups, lambda group: group.slice)]
    pairs = [(min(part, key=_accuracy), max(part, key=_accuracy)) for part in parts]
    return max(pairs, key=lambda pair: pair[1].accuracy - pair[0].accuracy, default=None)


def worst(groups: Iterable[Group]) -> Group | None:
    """The group of least accuracy; None without groups."""
    return min(groups, key=_accuracy, default=None)


def _accuracy(group: Group) -> float:
    return group.accuracy
