"""A NumPy file (`.npz`): `inputs`, `labels`, and `names` of the classes where labels are numbers."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.adapters.split import three_way
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError


def read_arrays(path: Path, *, seed: int = 0) -> Dataset:
    """Images uint8 `[N, C, H, W]` of inputs `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`; else float32 `[N, ...]`.

    Labels are numbers from 0, or texts.

    Raises:
        DataError: an array is missing, or not what it should be.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'no NumPy file'}; expected an .npz file") from error
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{path} is no .npz file of plain arrays ({error}); arrays of objects, as of samples of mixed sizes, are not taken"
        ) from error
    for name in ("inputs", "labels"):
        if name not in found:
            raise DataError(f"{path} has no array {name!r}; it has {', '.join(sorted(found)) or 'none'}")
    inputs, labels = _inputs(path, found["inputs"]), found["labels"]
    if labels.shape != (len(inputs),):
        raise DataError(f"{path}: {len(inputs)} inputs but labels of shape {list(labels.shape)}; expected one for each")
    names = [str(label) for label in labels]
    if labels.dtype.kind in "iu":
        _check_range(path, labels, found.get("names"))
    elif labels.dtype.kind != "U":
        raise DataError(f"{path}: labels are {labels.dtype}; expected whole numbers from 0, or texts")
    data = three_way(path, inputs, names, seed=seed)
    return _named(data, found["names"]) if labels.dtype.kind in "iu" and "names" in found else data


def _inputs(path: Path, inputs: NDArray[Any]) -> NDArray[Any]:
    if inputs.dtype == np.uint8 and inputs.ndim in {3, 4}:
        return _images(path, inputs)
    if inputs.dtype.kind not in "fiu" or inputs.ndim < 2:
        raise DataError(
            f"{path}: inputs are {inputs.dtype} {list(inputs.shape)}; expected numbers [N, ...], or images uint8"
        )
    plain = inputs.astype(np.float32)
    wrong = np.argwhere(~np.isfinite(plain))
    if len(wrong):
        place = ", ".join(map(str, wrong[0]))
        raise DataError(f"{path}: inputs[{place}] is {plain[tuple(wrong[0])]}; expected finite float32 numbers")
    return plain


def _images(path: Path, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, None]
    if images.shape[1] in {1, 3}:
        return images
    if images.shape[3] in {1, 3}:
        return np.ascontiguousarray(np.moveaxis(images, 3, 1))
    raise DataError(f"{path}: images are {list(images.shape)}; expected one or three channels, first or last")


def _check_range(path: Path, labels: NDArray[Any], names: NDArray[Any] | None) -> None:
    present = np.unique(labels)
    count = len(names) if names is not None else len(present)
    if not np.array_equal(present, np.arange(count)):
        raise DataError(
            f"{path}: labels are {count} classes but go from {present.min()} to {present.max()}; "
            f"expected each number from 0 to {count - 1}"
        )


def _named(data: Dataset, names: NDArray[Any]) -> Dataset:
    return Dataset(tuple(str(name) for name in names), data.train, data.validation, data.test)
