"""A NumPy file (`.npz`): `inputs`, `labels`, `names` of the classes where labels are numbers; `slice_*`, `unlabelled`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.adapters.groups import named, with_usual
from joulebox_build.data.adapters.split import three_way
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError

SLICE = "slice_"  # and its name


def read_arrays(path: Path, *, seed: int = 0) -> Dataset:
    """Images uint8 `[N, C, H, W]` of inputs `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`; else float32 `[N, ...]`.

    Labels are numbers from 0, or texts. `slice_NAME` has the group of each sample, `unlabelled` more inputs without labels.

    Raises:
        DataError: an array is missing, or not what it should be.
    """
    found = _read(path)
    inputs, labels = _inputs(path, "inputs", found["inputs"]), found["labels"]
    if labels.shape != (len(inputs),):
        raise DataError(f"{path}: {len(inputs)} inputs but labels of shape {list(labels.shape)}; expected one for each")
    names = [str(label) for label in labels]
    if labels.dtype.kind in "iu":
        _check_range(path, labels, found.get("names"))
    elif labels.dtype.kind != "U":
        raise DataError(f"{path}: labels are {labels.dtype}; expected whole numbers from 0, or texts")
    data = with_usual(three_way(path, inputs, names, _slices(path, found, len(inputs)), seed=seed))
    if "unlabelled" in found:
        data = replace(data, unlabelled=_inputs(path, "unlabelled", found["unlabelled"]))
    return _renamed(data, found["names"]) if labels.dtype.kind in "iu" and "names" in found else data


def _read(path: Path) -> dict[str, NDArray[Any]]:
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
    return found


def _slices(path: Path, found: Mapping[str, NDArray[Any]], samples: int) -> dict[str, NDArray[np.str_]]:
    columns = {name.removeprefix(SLICE): groups for name, groups in sorted(found.items()) if name.startswith(SLICE)}
    for name, groups in columns.items():
        if groups.shape != (samples,) or groups.dtype.kind not in "biuU":
            raise DataError(
                f"{path}: {SLICE}{name} is {groups.dtype} {list(groups.shape)}; "
                f"expected texts or whole numbers [{samples}], the group of each sample"
            )
    return named(path, columns)


def _inputs(path: Path, name: str, inputs: NDArray[Any]) -> NDArray[Any]:
    if inputs.dtype == np.uint8 and inputs.ndim in {3, 4}:
        return _images(path, name, inputs)
    if inputs.dtype.kind not in "fiu" or inputs.ndim < 2:
        raise DataError(
            f"{path}: {name} are {inputs.dtype} {list(inputs.shape)}; expected numbers [N, ...], or images uint8"
        )
    plain = inputs.astype(np.float32)
    wrong = np.argwhere(~np.isfinite(plain))
    if len(wrong):
        place = ", ".join(map(str, wrong[0]))
        raise DataError(f"{path}: {name}[{place}] is {plain[tuple(wrong[0])]}; expected finite float32 numbers")
    return plain


def _images(path: Path, name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, None]
    if images.shape[1] in {1, 3}:
        return images
    if images.shape[3] in {1, 3}:
        return np.ascontiguousarray(np.moveaxis(images, 3, 1))
    raise DataError(f"{path}: {name} are images {list(images.shape)}; expected one or three channels, first or last")


def _check_range(path: Path, labels: NDArray[Any], names: NDArray[Any] | None) -> None:
    present = np.unique(labels)
    count = len(names) if names is not None else len(present)
    if not np.array_equal(present, np.arange(count)):
        raise DataError(
            f"{path}: labels are {count} classes but go from {present.min()} to {present.max()}; "
            f"expected each number from 0 to {count - 1}"
        )


def _renamed(data: Dataset, names: NDArray[Any]) -> Dataset:
    return replace(data, labels=tuple(str(name) for name in names))
