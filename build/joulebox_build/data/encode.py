"""From samples as people have them to the tensor that a network takes: the same on the build host as on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.package.manifest import Datatype, ImagePreprocess, TextPreprocess
from joulebox.preprocess.text import token_ids
from joulebox_build.data.dataset import Dataset, Inputs
from joulebox_build.errors import DataError


@dataclass(frozen=True)
class ModelInput:
    """The one input of a model: its name, its datatype in the Open Inference Protocol, and its shape without the batch.

    `encode` makes a tensor that shares no memory with the samples, as a network may change its input.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    encode: Callable[[Inputs], NDArray[Any]]

    @property
    def dtype(self) -> type[np.float32 | np.int64]:
        return np.float32 if self.datatype == "FP32" else np.int64


def model_input(preprocess: ImagePreprocess | TextPreprocess | None, data: Dataset) -> ModelInput:
    """What the preprocessing makes of the data; without one, they are taken as they are.

    Raises:
        DataError: the data do not fit it.
    """
    sample, found = data.train.inputs, list(data.train.inputs.shape[1:])
    if preprocess is None:
        if sample.dtype != np.float32:
            raise DataError(f"data: load() gives {sample.dtype} {found}, which needs a preprocess in the recipe")
        return ModelInput("input", "FP32", tuple(found), np.array)
    if isinstance(preprocess, TextPreprocess):
        if sample.dtype != np.object_:
            raise DataError(f"data: load() gives {sample.dtype} {found}; preprocess says texts: correct one of them")
        return ModelInput("ids", "INT64", preprocess.shape, partial(token_ids, preprocess=preprocess))
    expected = (preprocess.channels, preprocess.height, preprocess.width)
    if sample.dtype != np.uint8 or found != list(expected):
        raise DataError(
            f"data: load() gives {sample.dtype} {found}; preprocess says images uint8 {list(expected)}: "
            "correct one of them"
        )
    return ModelInput("image", "FP32", expected, partial(normalized, preprocess=preprocess))


def normalized(images: NDArray[np.uint8], preprocess: ImagePreprocess) -> NDArray[np.float32]:
    """From uint8 to float32 `[N, C, H, W]`, as the manifest tells the device."""
    scale, offset = (values[:, None, None] for values in preprocess.affine())
    return images * scale + offset
