"""What is wrong with data, in one line that names the split, the first sample, its value, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.errors import DataError

CHUNK = 1000  # samples at a time, which bounds memory
SHARED_MAX = 0.01  # of a split's samples may be in another one, too, before the report warns of it
CLASS = "class"  # the slice that every split has


def check_labels(names: Sequence[str]) -> None:
    """The classes' names.

    Raises:
        DataError: fewer than two, or one of them twice.
    """
    if len(names) < 2:
        raise DataError(f"labels are {list(names)}; a classifier needs two at least: give Dataset all of them")
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise DataError(f"labels have {twice[0]!r} twice; give each class a name of its own")


def check_split(
    name: str,
    inputs: NDArray[Any],
    labels: NDArray[Any],
    slices: Mapping[str, NDArray[Any]],
    names: Sequence[str],
) -> None:
    """One split: inputs `[N, ...]`, class numbers `[N]`, and groups `[N]`.

    Raises:
        DataError: it cannot be right.
    """
    _check_form(name, inputs)
    _check_classes(name, len(inputs), labels, names)
    if inputs.dtype == np.object_:
        _check_texts(name, inputs)
    elif inputs.dtype == np.float32:
        _check_finite(name, inputs)
    _check_variety(name, inputs)
    for slice_name, groups in slices.items():
        if slice_name == CLASS:
            raise DataError(f"{name} has a slice {CLASS!r}, which every split has by itself: give it another name")
        if groups.shape != (len(inputs),):
            raise DataError(
                f"{name} slice {slice_name!r} has the shape {list(groups.shape)}; "
                f"expected [{len(inputs)}], a group for each sample"
            )


def check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Of one sample in each split.

    Raises:
        DataError: they differ.
    """
    (first, expected), *others = shapes.items()
    for name, shape in others:
        if shape != expected:
            raise DataError(
                f"{name} samples have the shape {list(shape)}, those of {first} {list(expected)}: resize one"
            )


def shared_too_many(duplicates: Mapping[str, int], samples: Mapping[str, int]) -> list[str]:
    """A line for each pair of splits that share too many samples: what was learnt by heart then passes for understood.

    Args:
        duplicates: as of `Dataset.duplicates`.
        samples: of each split.
    """
    lines: list[str] = []
    for pair, count in duplicates.items():
        second = pair.partition("/")[2]
        part = count / samples[second]
        if part > SHARED_MAX:
            lines.append(
                f"{pair}: {count} of {samples[second]} samples ({part:.1%}) of {second} are in the other one, too; "
                f"above {SHARED_MAX:.0%}, figures look better than they are: take them out of one"
            )
    return lines


def _check_form(name: str, inputs: NDArray[Any]) -> None:
    kinds = [
        inputs.ndim == 4 and inputs.dtype == np.uint8,
        inputs.ndim == 1 and inputs.dtype == np.object_,
        inputs.ndim >= 2 and inputs.dtype == np.float32,
    ]
    if not any(kinds):
        raise DataError(
            f"{name} inputs are {inputs.dtype} {list(inputs.shape)}; expected images uint8 [N, C, H, W], "
            "texts (objects) [N], or float32 [N, ...]: convert them in load()"
        )
    if inputs.size == 0:
        raise DataError(
            f"{name} inputs have the shape {list(inputs.shape)}, so there is nothing in them: give it samples"
        )


def _check_classes(name: str, samples: int, labels: NDArray[Any], names: Sequence[str]) -> None:
    if labels.shape != (samples,):
        raise DataError(
            f"{name} has {samples} inputs but labels of shape {list(labels.shape)}: give each its class number"
        )
    if labels.dtype != np.int64:
        raise DataError(f"{name} labels are {labels.dtype}; expected class numbers int64: labels.astype(np.int64)")
    classes = len(names)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{name} label {wrong[0]} is {labels[wrong[0]]}; expected numbers from 0 to {classes - 1} "
            f"for the {classes} labels ({len(wrong)} of {samples} are not)"
        )
    empty = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(empty):
        raise DataError(
            f"{name} has no sample of class {empty[0]} ({names[empty[0]]!r}); every class needs some in each split: "
            "add some, or leave the class out"
        )


def _check_texts(name: str, texts: NDArray[Any]) -> None:
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{name} input {number} is {type(text).__name__} {str(text)[:40]!r}; expected a text (str)")
        if not text.strip():
            raise DataError(f"{name} input {number} is the empty text {text!r}: leave it out")


def _check_finite(name: str, inputs: NDArray[np.float32]) -> None:
    for start in range(0, len(inputs), CHUNK):
        part = _rows(inputs[start : start + CHUNK])
        bad = ~np.isfinite(part)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{name} input {start + row} holds {part[row, column]} (element {column}); expected finite numbers: "
                "leave the sample out, or fill it in load()"
            )


def _rows(inputs: Any) -> NDArray[np.float32]:
    return inputs.reshape(len(inputs), -1)


def _check_variety(name: str, inputs: NDArray[Any]) -> None:
    if len(inputs) > 1 and all(
        (inputs[start : start + CHUNK] == inputs[0]).all() for start in range(0, len(inputs), CHUNK)
    ):
        raise DataError(f"all {len(inputs)} inputs of {name} are the same as input 0: see how load() reads them")
