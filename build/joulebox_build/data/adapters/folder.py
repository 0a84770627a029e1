"""A folder of images by class: `cats/1.jpg`, or `train/cats/1.jpg` beside `val/` and `test/`; `unlabelled/` beside these.

Names of parts may have capitals; those of classes count as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from joulebox.http.images import open_image, pixel_count, stack
from joulebox.package.manifest import ImagePreprocess
from joulebox.runtime.errors import BadRequest
from joulebox_build.data.adapters.groups import with_usual
from joulebox_build.data.adapters.split import check_classes, numbers, partition
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.errors import DataError

PARTS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
UNLABELLED = ("unlabelled", "unlabeled")  # a folder of images that belong to no class
BYTES_MAX = 4 * 2**30  # of all images as the network sees them, which lie in memory


@dataclass(frozen=True)
class Listed:
    """The files of one part, and the name of each one's class."""

    files: list[Path]
    names: list[str]


def read_folder(path: Path, preprocess: ImagePreprocess, *, seed: int = 0, skip_unreadable: int = 0) -> Dataset:
    """Images uint8 `[N, C, H, W]`, decoded and resized by the device's own code.

    Where there are no folders for validation or test, they are drawn from the training images. Slices are thirds of brightness.

    Args:
        skip_unreadable: so many files at most may be no readable image; they are left out and named.

    Raises:
        DataError: a class is empty or missing, a file is unreadable, or there is too much of it.
    """
    listed = list_images(path)
    more = list_unlabelled(path)
    total = sum(len(part.files) for part in [*listed.values(), more])
    needed = total * preprocess.channels * preprocess.height * preprocess.width
    if needed > BYTES_MAX:
        raise DataError(
            f"{path}: {total:,} images take {needed:,} bytes of memory, at most {BYTES_MAX:,}; make preprocess smaller"
        )
    reader = _Reader(preprocess, skip_unreadable)
    read = {name: reader.read(part) for name, part in listed.items()}
    unlabelled = reader.read(more).images if more.files else None
    reader.report(path, total)
    classes = check_classes(path, read["train"].names)
    return with_usual(replace(_dataset(path, classes, read, seed), unlabelled=unlabelled))


def list_images(path: Path) -> dict[str, Listed]:
    """The files of `train`, and of `validation` and `test` where these have folders; hidden files are passed over.

    Raises:
        DataError: it cannot be read, or a class is empty or missing in a part.
    """
    try:
        found = {part: _list(folder) for part, folder in _parts(path).items()}
        listed = found if "train" in found else {"train": _list(path, leave_out=UNLABELLED)}
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; expected a folder of images by class") from error
    known = set(listed["train"].names)
    for name in known:
        if name.lower() in UNLABELLED:
            raise DataError(
                f"{path}: train has a class {name!r}, which is the name of images without a class; "
                f"put these into {path / name}, or rename the class"
            )
    for part, content in listed.items():
        missing = sorted(known ^ set(content.names))
        if missing:
            where = part if missing[0] in known else "train"
            raise DataError(
                f"{path}: {where} has no image of class {missing[0]!r}; every class needs some in each part"
            )
    return listed


def _parts(path: Path) -> dict[str, Path]:
    """The folders that are parts of the data, by the part's name."""
    found: dict[str, Path] = {}
    parts = {name: part for part, names in PARTS.items() for name in names}
    for folder in sorted(each for each in path.iterdir() if each.is_dir() and each.name.lower() in parts):
        part = parts[folder.name.lower()]
        if part in found:
            raise DataError(
                f"{path} has two folders for {part}, {found[part].name} and {folder.name}; put all its classes into one"
            )
        found[part] = folder
    return found


def list_unlabelled(path: Path) -> Listed:
    """The files of the folder `unlabelled`, if there is one."""
    folders = sorted(each for each in path.iterdir() if each.is_dir() and each.name.lower() in UNLABELLED)
    files = [file for folder in folders for file in _files(folder)]
    return Listed(files, [UNLABELLED[0]] * len(files))


def _list(path: Path, *, leave_out: Sequence[str] = ()) -> Listed:
    listed = Listed([], [])
    classes = sorted(
        each
        for each in path.iterdir()
        if each.is_dir() and not each.name.startswith(".") and each.name.lower() not in leave_out
    )
    if not classes:
        raise DataError(f"{path} has no folders; expected one for each class, such as {path / 'cats'}/1.jpg")
    for one in classes:
        files = _files(one)
        if not files:
            raise DataError(f"{one} is empty; remove the folder, or put images of the class into it")
        listed.files.extend(files)
        listed.names.extend([one.name] * len(files))
    return listed


def _files(path: Path) -> list[Path]:
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts))


@dataclass(frozen=True)
class _Part:
    images: NDArray[np.uint8]
    names: list[str]


class _Reader:
    """Reads images, and counts those that cannot be read."""

    def __init__(self, preprocess: ImagePreprocess, skip_unreadable: int) -> None:
        channels = preprocess.channels
        plain = {"mean": [0.0] * channels, "std": [1 / 255] * channels, "layout": "NCHW"}
        self._pixels = preprocess.model_copy(update=plain)  # makes pixels 0 to 255 of what the device makes normalised
        self._limit = skip_unreadable
        self._skipped: list[str] = []

    def read(self, listed: Listed) -> _Part:
        images = np.empty((len(listed.files), *self._pixels.shape), np.uint8)
        names: list[str] = []
        for file, name in zip(listed.files, listed.names, strict=True):
            try:
                images[len(names)] = np.rint(self._one(file))
            except (OSError, BadRequest) as error:
                self._skip(file, error)
            else:
                names.append(name)
        return _Part(images[: len(names)], names)

    def _one(self, file: Path) -> NDArray[np.float32]:
        picture = open_image(file.read_bytes())
        pixel_count([picture])
        return stack([picture], self._pixels)[0]

    def _skip(self, file: Path, error: OSError | BadRequest) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self._skipped.append(file.name)
        if len(self._skipped) > self._limit:
            raise DataError(
                f"{file}: {reason}; remove it, or let more than {self._limit} files be unreadable: "
                "by SKIP_UNREADABLE in data.py, which `joulebox new --skip-unreadable` sets"
            ) from error

    def report(self, path: Path, total: int) -> None:
        if self._skipped:
            some = ", ".join(self._skipped[:5]) + (", …" if len(self._skipped) > 5 else "")
            Console(stderr=True, highlight=False).print(
                f"{path}: {len(self._skipped)} of {total} files are no readable images and left out: {some}",
                markup=False,
                soft_wrap=True,
            )


def _dataset(path: Path, classes: Sequence[str], read: dict[str, _Part], seed: int) -> Dataset:
    splits = {name: Split(part.images, numbers(part.names, classes)) for name, part in read.items()}
    for name, split in splits.items():
        left = set(range(len(classes))) - set(split.labels.tolist())
        if left:
            raise DataError(f"{path}: {name} has no readable image of class {classes[min(left)]!r}")
    missing = [name for name in PARTS if name not in splits]
    train, *drawn = (
        splits["train"].take(part) for part in partition(splits["train"].labels, 1 + len(missing), seed=seed)
    )
    parts = {**splits, "train": train, **dict(zip(missing, drawn, strict=True))}
    return Dataset(tuple(classes), parts["train"], parts["validation"], parts["test"])


def usual_size(path: Path, *, side_max: int = 64, looked_at: int = 200) -> tuple[int, int, int]:
    """Channels, height and width for a network: of the images where these are small and of one size, else a square.

    Raises:
        DataError: as for `list_images`.
    """
    sizes: set[tuple[int, int]] = set()
    colour = False
    files = list_images(path)["train"].files
    for file in files[:: max(1, len(files) // looked_at)]:
        try:
            picture: Image.Image = open_image(file.read_bytes())
        except (OSError, BadRequest):
            continue  # said when they are read
        sizes.add((picture.height, picture.width))
        colour = colour or picture.mode not in {"1", "L", "LA", "I;16"}
    same = len(sizes) == 1 and max(next(iter(sizes))) <= side_max
    height, width = next(iter(sizes)) if same else (side_max, side_max)
    return (3 if colour else 1), height, width
