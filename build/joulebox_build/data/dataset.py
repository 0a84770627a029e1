"""Labelled data in three parts that are kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.checks import check_alike, check_inputs, check_labels, check_split, check_type

Inputs = NDArray[Any]
"""Samples along the first axis, as people have them: images uint8 `[N, C, H, W]`, texts (str objects) `[N]`, or float32 `[N, ...]`."""


@dataclass(frozen=True)
class Split:
    """Inputs, class numbers int64 `[N]`, and groups that the samples fall into.

    `slices` is a name, such as `brightness`, to each sample's group there, str `[N]`: the report and the gate look at each group.
    """

    inputs: Inputs
    labels: NDArray[np.int64]
    slices: Mapping[str, NDArray[np.str_]] = field(default_factory=dict[str, NDArray[np.str_]])

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: slice | NDArray[Any]) -> Split:
        """Those of the samples."""
        groups = {name: group[chosen] for name, group in self.slices.items()}
        return Split(self.inputs[chosen], self.labels[chosen], groups)

    def first(self, count: int | None) -> Split:
        """The first `count` samples; all of them where `count` is None."""
        return self.take(slice(count))

    def digest(self) -> str:
        """SHA-256 of types, shapes and content."""
        digest = hashlib.sha256(f"{self.inputs.dtype} {self.inputs.shape}".encode())
        if self.inputs.dtype == np.object_:
            digest.update(_apart(self.inputs))
        else:
            digest.update(np.ascontiguousarray(self.inputs).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        for name, group in sorted(self.slices.items()):
            digest.update(_apart([name, *map(str, group)]))
        return digest.hexdigest()


def _apart(texts: Iterable[str]) -> bytes:
    """Each after its length, so that no two lists of texts are the same bytes."""
    contents = (text.encode() for text in texts)
    return b"".join(len(content).to_bytes(8, "little") + content for content in contents)


@dataclass(frozen=True)
class Dataset:
    """Training data, validation data that every choice is made on, and test data that only the report reads."""

    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    unlabelled: Inputs | None = None  # more inputs as those of `train`, which a teacher may teach without labels

    def __post_init__(self) -> None:
        check_labels(self.labels)
        for name, split in self.splits().items():
            check_type(name, split, Split)
            check_split(name, split.inputs, split.labels, split.slices, self.labels)
        inputs = {name: split.inputs for name, split in self.splits().items()}
        if self.unlabelled is not None:
            check_inputs("unlabelled", self.unlabelled)
            inputs["unlabelled"] = self.unlabelled
        check_alike(inputs)

    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def duplicates(self) -> dict[str, int]:
        """How many samples of the second split are in the first one, too: `{"train/test": 3, …}`."""
        seen = {name: _keys(split.inputs) for name, split in self.splits().items()}
        pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
        if self.unlabelled is not None:
            seen["unlabelled"] = _keys(self.unlabelled)
            pairs += [("unlabelled", "validation"), ("unlabelled", "test")]
        return {f"{first}/{second}": _shared(seen[first], seen[second]) for first, second in pairs}


def _keys(inputs: Inputs) -> list[str | bytes]:
    return list(inputs) if inputs.dtype == np.object_ else [sample.tobytes() for sample in inputs]


def _shared(first: list[str | bytes], second: list[str | bytes]) -> int:
    known = set(first)
    return sum(sample in known for sample in second)


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
    return split.take(order[~held]), split.take(order[held])
