"""Non-negative least squares, against what it has to satisfy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.energy.weights import nnls


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10**6))
def test_the_solution_meets_the_conditions_of_karush_kuhn_and_tucker(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((3 * size + 2, size)) * rng.choice([0.01, 1.0, 100.0], size)
    gram = rows.T @ rows + 1e-9 * np.eye(size)
    target = rows.T @ (rows @ rng.normal(0, 1, size) + 0.1 * rng.normal(0, 1, len(rows)))
    found = nnls(gram, target)
    slope = target - gram @ found
    scale = 1e-6 * np.abs(target).max()
    assert np.all(found >= 0)
    assert np.all(slope <= scale)
    assert np.all(np.abs(slope[found > 0]) <= scale)


def test_nothing_explained_by_nobody_is_zero() -> None:
    assert nnls(np.eye(2), np.array([-1.0, 0.0])).tolist() == [0.0, 0.0]
    assert nnls(np.zeros((0, 0)), np.zeros(0)).tolist() == []
