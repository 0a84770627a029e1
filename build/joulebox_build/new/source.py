"""What somebody's data are, and which recipe suits them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from joulebox.package.manifest import ImagePreprocess, TextPreprocess
from joulebox_build.data.adapters import read_arrays, read_folder, read_table, read_texts
from joulebox_build.data.adapters.folder import usual_size
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError
from joulebox_build.report.datacard import Kind, kind_of

TEXTS = TextPreprocess(
    kind="text", buckets=16384, length=256, fold=["urls", "mentions", "numbers"], word_ngrams=2, character_ngrams=(3, 5)
)
DIGITS = 4  # of means and deviations
CHUNK = 1000  # samples at a time, which bounds memory


@dataclass(frozen=True)
class Columns:
    """What the columns of a CSV file are: the class, a text to be classified, and groups; all others are numbers."""

    label: str = "label"
    text: str | None = None
    slices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Data, and how they are read; `preprocess` is of images and texts, `columns` count where a CSV file is read."""

    path: Path
    reader: Literal["folder", "table", "texts", "arrays"]
    data: Dataset
    preprocess: ImagePreprocess | TextPreprocess | None
    columns: Columns
    skip_unreadable: int = 0  # files of a folder

    @property
    def kind(self) -> Kind:
        return kind_of(self.data.train.inputs)

    @property
    def mean(self) -> list[float]:
        """Of the training data, to a thousandth of `std`: of each number of a sample, where these are not images."""
        means = self.data.train.inputs.astype(np.float64).mean(0).ravel()
        return [
            round(float(mean), DIGITS - math.ceil(math.log10(std))) for mean, std in zip(means, self.std, strict=True)
        ]

    @property
    def std(self) -> list[float]:
        """As `mean`; 1 where all samples are the same."""
        spread = self.data.train.inputs.astype(np.float64).std(0).ravel()
        return _rounded(np.where(spread > 0, spread, 1.0))


def open_source(path: Path, columns: Columns, *, seed: int, skip_unreadable: int = 0) -> Source:
    """Reads the data once, so that what is wrong with them is said now.

    Args:
        skip_unreadable: so many files of a folder may be no readable image.

    Raises:
        DataError: they are of no known kind, or something is wrong with them.
    """
    place = path.resolve()
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _of_csv(place, columns, seed)
    if columns.text or columns.slices:
        raise DataError(
            f"--from {path}: --text and --slice name columns of a .csv file; an .npz file has groups as arrays slice_NAME"
        )
    if place.is_dir():
        channels, height, width = usual_size(place)
        preprocess = _plain(channels, height, width)
        data = read_folder(place, preprocess, seed=seed, skip_unreadable=skip_unreadable)
        return Source(place, "folder", data, _normalizing(preprocess, data), columns, skip_unreadable)
    if suffix == ".npz":
        data = read_arrays(place, seed=seed)
        return Source(place, "arrays", data, _of_arrays(data), columns)
    what = "does not exist" if not path.exists() else "is no folder, .csv or .npz file"
    raise DataError(f"--from {path} {what}; expected a folder of images by class, a .csv or an .npz file")


def _of_csv(place: Path, columns: Columns, seed: int) -> Source:
    label, slices = columns.label, columns.slices
    if columns.text is None:
        return Source(place, "table", read_table(place, label=label, slices=slices, seed=seed), None, columns)
    data = read_texts(place, text=columns.text, label=label, slices=slices, seed=seed)
    return Source(place, "texts", data, TEXTS, columns)


def _plain(channels: int, height: int, width: int) -> ImagePreprocess:
    ones = [1.0] * channels
    return ImagePreprocess(height=height, width=width, channels=3 if channels == 3 else 1, mean=ones, std=ones)


def _of_arrays(data: Dataset) -> ImagePreprocess | None:
    inputs = data.train.inputs
    if inputs.dtype != np.uint8:
        return None
    channels, height, width = inputs.shape[1:]
    return _normalizing(_plain(channels, height, width), data)


def _normalizing(preprocess: ImagePreprocess, data: Dataset) -> ImagePreprocess:
    """With mean and deviation of each channel of the training images, of pixels from 0 to 1."""
    images = data.train.inputs
    sums = np.zeros((2, preprocess.channels))
    for start in range(0, len(images), CHUNK):
        pixels = images[start : start + CHUNK] / 255
        sums += [pixels.sum((0, 2, 3)), (pixels**2).sum((0, 2, 3))]
    mean, squares = sums / (images.size / preprocess.channels)
    std = np.sqrt(np.maximum(squares - mean**2, 0))
    return preprocess.model_copy(update={"mean": _rounded(mean), "std": _rounded(np.where(std > 1e-3, std, 1.0))})


def _rounded(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
