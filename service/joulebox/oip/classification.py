"""The classification extension: an output's best classes instead of its values.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.runtime.errors import BadRequest


def classify(name: str, array: NDArray[Any], classes: int, labels: Sequence[str], *, batched: bool) -> NDArray[Any]:
    """Strings `value:index[:label]`, best first: `[batch, classes]`, or `[classes]` where there is no batch.

    Args:
        classes: how many; no more than there are values are given.

    Raises:
        BadRequest: the output holds no numbers.
    """
    if array.dtype.kind not in "iuf":
        raise BadRequest(f"output {name!r} holds no numbers, so there is no classification of it")
    rows: NDArray[Any] = np.reshape(array, (len(array) if batched else 1, -1))
    count = min(classes, rows.shape[1])
    best = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    named = len(labels) == rows.shape[1]
    texts = np.empty(best.shape, dtype=object)
    for row, order in enumerate(best):
        for rank, index in enumerate(order):
            value = rows[row, index]
            shown = f"{float(value):f}" if math.isfinite(value) else str(float(value))
            texts[row, rank] = f"{shown}:{index}:{labels[index]}" if named else f"{shown}:{index}"
    return texts if batched else texts[0]
