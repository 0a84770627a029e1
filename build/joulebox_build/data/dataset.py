"""Labelled arrays in three parts that are kept apart, and where their files come from."""

# pooch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
from numpy.typing import NDArray

from joulebox_build.errors import DataError


@dataclass(frozen=True)
class Split:
    """Images uint8 `[N, C, H, W]` and class numbers int64 `[N]`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Split:
        """The first `count` samples; all of them where `count` is None."""
        return Split(self.images[:count], self.labels[:count])

    def digest(self) -> str:
        """SHA-256 of shapes and content."""
        digest = hashlib.sha256(str(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Training data, validation data that every choice is made on, and test data that only the report reads."""

    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        for name, split in self.splits().items():
            _check(name, split, len(self.labels))

    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def duplicates(self) -> dict[str, int]:
        """How many samples of the second split have an identical image in the first: `{"train/test": 3, …}`."""
        seen = {name: [image.tobytes() for image in split.images] for name, split in self.splits().items()}
        pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
        return {f"{first}/{second}": _shared(seen[first], seen[second]) for first, second in pairs}


def _shared(first: list[bytes], second: list[bytes]) -> int:
    known = set(first)
    return sum(image in known for image in second)


def _check(name: str, split: Split, classes: int) -> None:
    if split.images.ndim != 4 or split.images.dtype != np.uint8:
        raise DataError(
            f"{name} images are {split.images.dtype} {list(split.images.shape)}; expected uint8 [N, C, H, W]"
        )
    if split.labels.shape != (len(split.images),):
        raise DataError(f"{name} has {len(split.images)} images but labels of shape {list(split.labels.shape)}")
    counts = np.bincount(split.labels.clip(0, classes), minlength=classes)
    if len(split) == 0 or split.labels.min() < 0 or len(counts) > classes:
        raise DataError(f"{name} labels must be numbers from 0 to {classes - 1}, at least one of them")
    if (counts == 0).any():
        raise DataError(f"{name} has no sample of class {int(np.argmin(counts))}; every class needs some in each split")


def stratified_holdout(split: Split, count: int, *, seed: int) -> tuple[Split, Split]:
    """The split without `count` samples, and those, drawn evenly from each class. Both are shuffled."""
    order = np.random.default_rng(seed).permutation(len(split))
    labels = split.labels[order]
    rank = np.empty(len(order), np.int64)  # of each sample among those of its class
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    held = np.zeros(len(order), bool)
    held[np.argsort(rank, kind="stable")[:count]] = True
    return (
        Split(split.images[order[~held]], split.labels[order[~held]]),
        Split(split.images[order[held]], split.labels[order[held]]),
    )


def find_files(
    name: str, files: Mapping[str, str], *, folders: Iterable[Path], download: str, hint: str
) -> dict[str, Path]:
    """Gzip files from `$JOULEBOX_DATA`, else from the first of `folders` that has them, else downloaded once.

    Args:
        files: file name to the SHA-256 of its *uncompressed* content, as packagers compress anew.
        download: the address that the file names are appended to.
        hint: what to do where nothing is found.

    Raises:
        DataError: nothing has all the files, or a content differs from its checksum.
    """
    named = os.environ.get("JOULEBOX_DATA")
    for folder in [Path(named)] if named else folders:
        missing = [file for file in files if not (folder / file).is_file()]
        if not missing:
            return {file: _checked(folder / file, digest) for file, digest in files.items()}
        if named:
            raise DataError(f"JOULEBOX_DATA={named} has no {missing[0]}; {hint}")
    cache = pooch.os_cache("joulebox") / "data" / name
    try:
        found = {file: Path(pooch.retrieve(download + file, None, fname=file, path=cache)) for file in files}
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(
            f"the {name} data is not on this machine and could not be downloaded ({reason}); {hint}"
        ) from error
    return {file: _checked(found[file], digest) for file, digest in files.items()}


def _checked(path: Path, digest: str) -> Path:
    try:
        with gzip.open(path) as file:
            actual = hashlib.sha256(file.read()).hexdigest()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read as gzip ({error}); delete it and fetch it again") from error
    if actual != digest:
        raise DataError(f"{path} has content of SHA-256 {actual}, expected {digest}; delete it and fetch it again")
    return path
