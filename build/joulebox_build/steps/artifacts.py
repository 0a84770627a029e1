"""What stages have in common: the names of their files, and what is in them."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.encode import ModelInput

SplitName = Literal["train", "validation", "test"]

LOGITS = "logits.npy"
WEIGHTS = "weights.safetensors"
HISTORY = "history.json"
PLAN = "plan.json"
PRUNING = "pruning.json"
CHECKPOINT = "checkpoint.pt"
TEMPERATURE = "temperature.json"
DUPLICATES = "duplicates.json"
FIGURES = "figures.json"
VOCABULARY = "vocabulary.json"
LAYERS = "layers.json"
CHOICE = "choice.json"
TENSORRT = "tensorrt.onnx"


def npy(array: NDArray[Any]) -> bytes:
    """The same bytes for the same array; `np.load` reads them."""
    content = BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()


def from_npy(content: bytes) -> NDArray[Any]:
    """The array where it lies: it cannot be written to."""
    file = BytesIO(content)
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.ndarray(shape, dtype, buffer=content, offset=file.tell())


def as_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def described(given: ModelInput) -> list[Any]:
    """What a model takes, for a stage's key."""
    return [given.name, given.datatype, list(given.shape)]
