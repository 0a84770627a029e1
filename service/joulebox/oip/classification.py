"""The classification extension: an output's best classes instead of its values.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
"""

from __future__ import annotations

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
    backwards: NDArray[Any] = -rows if rows.dtype.kind == "f" else ~rows  # of the lowest integer there is no negative
    best = np.argsort(backwards, axis=1, kind="stable")[:, :count]
    named = len(labels) == rows.shape[1]
    texts = np.empty(best.shape, dtype=object)
    for row, order in enumerate(best):
        for rank, index in enumerate(order):
            shown = _shown(rows[row, index].item())
            texts[row, rank] = f"{shown}:{index}:{labels[index]}" if named else f"{shown}:{index}"
    return texts if batched else texts[0]


def _shown(value: float) -> str:
    """As C++'s `std::to_string`, which Triton uses."""
    return str(value) if isinstance(value, int) else f"{value:f}"
