"""Groups that samples fall into: given by name, or told from the samples themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Dataset, Inputs, Split
from joulebox_build.errors import DataError

GROUPS_MAX = 20  # of one slice; of more, each is too small to say anything
EMPTY = "(empty)"


def named(source: object, columns: Mapping[str, Iterable[Any]]) -> dict[str, NDArray[np.str_]]:
    """The name of a slice to each sample's group, as it is kept in a `Split`.

    Raises:
        DataError: one has too many groups.
    """
    slices = {name: np.array([str(each).strip() or EMPTY for each in column]) for name, column in columns.items()}
    for name, groups in slices.items():
        count = len(np.unique(groups))
        if count > GROUPS_MAX:
            raise DataError(
                f"{source}: slice {name!r} has {count} groups, such as {str(groups[0])!r}; expected at most {GROUPS_MAX}: join some"
            )
    return slices


def with_usual(data: Dataset) -> Dataset:
    """Images by their brightness, texts by their length, in thirds of the training data; a slice of that name is kept."""
    if data.train.inputs.dtype == np.uint8:
        return _by_thirds(data, "brightness", ("dark", "medium", "bright"), lambda images: images.mean((1, 2, 3)))
    if data.train.inputs.dtype == np.object_:
        return _by_thirds(data, "length", ("short", "medium", "long"), lambda texts: np.array([*map(len, texts)]))
    return data


def _by_thirds(data: Dataset, name: str, groups: Sequence[str], measure: Callable[[Inputs], NDArray[Any]]) -> Dataset:
    bounds = np.quantile(measure(data.train.inputs), (1 / 3, 2 / 3))

    def grouped(split: Split) -> Split:
        found = np.array(groups)[np.digitize(measure(split.inputs), bounds)]
        return replace(split, slices={name: found, **split.slices})

    return replace(data, train=grouped(data.train), validation=grouped(data.validation), test=grouped(data.test))
