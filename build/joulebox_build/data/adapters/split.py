"""Three parts of labelled samples, each class in its share in each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Dataset, Inputs, Split
from joulebox_build.errors import DataError

SHARE = 0.15  # of each class for validation, and as much for the test
CLASS_MIN = 10  # samples of a class, of which at least one or two are then in each part


def check_classes(source: object, names: Sequence[str]) -> tuple[str, ...]:
    """The classes, sorted: by number where all are numbers.

    Raises:
        DataError: there is one class, or one with too few samples.
    """
    counts = Counter(names)
    if len(counts) < 2:
        raise DataError(
            f"{source}: all {len(names)} samples are of class {min(counts, default='')!r}; expected two classes or more"
        )
    name, least = min(counts.items(), key=lambda item: (item[1], item[0]))
    if least < CLASS_MIN:
        raise DataError(f"{source}: class {name!r} has {least} samples; expected at least {CLASS_MIN} of each")
    return tuple(sorted(counts, key=_order))


def _order(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def partition(labels: NDArray[np.int64], parts: int, *, seed: int) -> list[NDArray[np.int64]]:
    """Sample numbers of so many parts, shuffled. All but the first have `SHARE` of each class, one sample at least."""
    random = np.random.default_rng(seed)
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in range(parts)]
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        share = max(1, round(SHARE * len(members)))
        for number in range(1, parts):
            chosen[number].append(members[:share])
            members = members[share:]
        chosen[0].append(members)
    return [random.permutation(np.concatenate(part)) for part in chosen]


def three_way(
    source: object, inputs: Inputs, names: Sequence[str], slices: Mapping[str, NDArray[np.str_]], *, seed: int
) -> Dataset:
    """Samples `[N, ...]`, the name of each one's class, and of its group in each slice.

    Raises:
        DataError: there are too few classes, or samples of one.
    """
    classes = check_classes(source, names)
    whole = Split(inputs, numbers(names, classes), slices)
    train, validation, test = (whole.take(part) for part in partition(whole.labels, 3, seed=seed))
    return Dataset(classes, train, validation, test)


def numbers(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """The number of each sample's class."""
    number = {name: position for position, name in enumerate(classes)}
    return np.asarray([number[name] for name in names], np.int64)
