"""Power weights: how many watts each model adds while it runs, by non-negative least squares.

Two models that run at the same time share a joule by their weights. Small problems (tens of models), so numpy's solver on the
normal equations does; scipy is not on the device.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = NDArray[np.intp]

TOLERANCE = 1e-12


def nnls(gram: Floats, target: Floats) -> Floats:
    """The x ≥ 0 that minimises xᵀ·gram·x / 2 - targetᵀ·x: least squares with gram = AᵀA and target = Aᵀb.

    Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23, on the normal equations as Bro and de Jong (1997).

    Args:
        gram: [n, n], symmetric, positive definite.
        target: [n].
    """
    size = len(target)
    free = np.zeros(size, dtype=bool)
    found = np.zeros(size)
    least = TOLERANCE * max(1e-300, float(np.abs(target).max(initial=0.0)))
    for _ in range(3 * size + 1):
        if free.all():
            break
        slope = target - gram @ found
        slope[free] = -np.inf
        at = int(slope.argmax())
        if slope[at] <= least:
            break
        free[at] = True
        found = _within(gram, target, found, free)
    return found


def _within(gram: Floats, target: Floats, found: Floats, free: NDArray[np.bool_]) -> Floats:
    """Solves for the free ones, fixing at 0 those that would become negative."""
    while free.any():
        tried = np.zeros_like(found)
        tried[free] = np.linalg.solve(gram[np.ix_(free, free)], target[free])
        below = free & (tried <= 0)
        if not below.any():
            return tried
        step = float((found[below] / np.maximum(found[below] - tried[below], 1e-300)).min())
        found += step * (tried - found)
        free &= found > TOLERANCE * max(1e-300, float(np.abs(found).max()))
        found[~free] = 0.0
    return np.zeros_like(found)
