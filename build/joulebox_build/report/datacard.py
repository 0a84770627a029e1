"""What the data are: splits, classes, groups, digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Dataset, Inputs, Split

Kind = Literal["images", "texts", "tensors"]


def data_card(data: Dataset, digests: Mapping[str, str]) -> dict[str, Any]:
    """As JSON: of each split the number of samples, SHA-256, samples of each class, and of each group of each slice."""
    splits = {
        name: _split(split, len(data.labels)) | {"sha256": digests[name]} for name, split in data.splits().items()
    }
    return {"kind": kind_of(data.test.inputs), "shape": list(data.test.inputs.shape[1:]), "splits": splits}


def kind_of(inputs: Inputs) -> Kind:
    if inputs.dtype == np.object_:
        return "texts"
    return "images" if inputs.dtype == np.uint8 else "tensors"


def _split(split: Split, classes: int) -> dict[str, Any]:
    return {
        "samples": len(split),
        "classes": np.bincount(split.labels, minlength=classes).tolist(),
        "slices": {name: _counts(groups) for name, groups in sorted(split.slices.items())},
    }


def _counts(groups: NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(groups, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
