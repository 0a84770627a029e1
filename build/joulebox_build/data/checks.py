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
        DataError: fewer than two, one of them twice, or one that is no text.
    """
    for number, name in enumerate(names):
        _check_text(f"label {number}", name)
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
    check_inputs(name, inputs)
    check_type(f"{name} labels", labels, np.ndarray)
    _check_classes(name, len(inputs), labels, names)
    check_type(f"{name} slices", slices, Mapping)
    for slice_name, groups in slices.items():
        if slice_name == CLASS:
            raise DataError(f"{name} has a slice {CLASS!r}, which every split has by itself: give it another name")
        _check_groups(f"{name} slice {slice_name!r}", groups, len(inputs))


def check_inputs(name: str, inputs: NDArray[Any]) -> None:
    """Samples `[N, ...]`, with labels or without.

    Raises:
        DataError: they cannot be right.
    """
    check_type(f"{name} inputs", inputs, np.ndarray)
    _check_form(name, inputs)
    if inputs.dtype == np.object_:
        _check_texts(name, inputs)
    elif inputs.dtype == np.float32:
        _check_finite(name, inputs)
    _check_variety(name, inputs)


def check_alike(inputs: Mapping[str, NDArray[Any]]) -> None:
    """Samples `[N, ...]` by the name of what they are for.

    Raises:
        DataError: some are of another type or shape than the first.
    """
    (first, expected), *others = inputs.items()
    for name, found in others:
        if (found.dtype, found.shape[1:]) != (expected.dtype, expected.shape[1:]):
            raise DataError(
                f"{name} inputs are {found.dtype} {list(found.shape)}; "
                f"expected {expected.dtype} {[None, *expected.shape[1:]]}, as those of {first}: convert them in load()"
            )


def check_part(key: str, labels: NDArray[np.int64], names: Sequence[str]) -> None:
    """The class numbers `[N]` of the first training samples, where this key of the recipe asks for so many.

    Raises:
        DataError: a class is not among them, as in data that are sorted by class.
    """
    empty = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if len(empty):
        raise DataError(
            f"{key}: {len(labels)}; the first {len(labels)} training samples have none of class {empty[0]} "
            f"({names[empty[0]]!r}): raise it, or shuffle the samples in load()"
        )


def check_type(what: str, given: object, expected: type) -> None:
    """
    Raises:
        DataError: it is of another type.
    """
    if not isinstance(given, expected):
        raise DataError(f"{what}: {type(given).__name__}; expected {expected.__name__}: convert it in load()")


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
        _check_text(f"{name} input {number}", text)
        if not text.strip():
            raise DataError(f"{name} input {number} is the empty text {text!r}: leave it out")


def _check_groups(what: str, groups: NDArray[Any], samples: int) -> None:
    check_type(what, groups, np.ndarray)
    if groups.shape != (samples,):
        raise DataError(f"{what} has the shape {list(groups.shape)}; expected [{samples}], a group for each sample")
    if groups.dtype.kind not in "iub":  # numbers name a group, too
        for number, group in enumerate(groups.tolist()):
            _check_text(f"{what}, sample {number},", group)


def _check_text(what: str, text: object) -> None:
    if not isinstance(text, str):
        raise DataError(f"{what} is {type(text).__name__} {str(text)[:40]!r}; expected a text (str)")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} has {text[error.start]!r} at {error.start}, half of a character, which no file can hold: "
            "replace it in load(), or read the file as what it is encoded in"
        ) from error


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
