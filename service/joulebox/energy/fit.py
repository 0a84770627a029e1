"""The linear power model: joules = idle watts x seconds + the sum of each model's watts x its busy seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from joulebox.energy.blocks import Block
from joulebox.energy.moments import BEND, FIRST, JOULES, SECONDS
from joulebox.energy.weights import Columns, Floats, nnls

FEWEST_ROWS = 20  # beside as many as there are columns
BENT_F, BENT_PART = 30.0, 0.02  # F of the bend, and the part of the dynamic energy it explains
RIDGE = 1e-9


@dataclass(frozen=True)
class Fit:
    """Watts per column of the models, their normal equations, and what was left over."""

    watts: Floats
    """[models], none negative."""
    gram: Floats
    """[models, models], the prior included."""
    noise: float
    """Variance of a row's joules about the fit."""
    seconds_by_busy: Floats
    """[models], Σ seconds x busy seconds: by how much a wrong idle power would show."""


def fit(block: Block, idle_watts: float) -> Fit | None:
    """Each model's watts beside a known idle power; None where there are no rows.

    A model that ran little is drawn to the mean of all, by as much as the noise outweighs what was seen of it: the Bayesian
    ridge whose prior is "like the others, give or take as much again".
    """
    busy = block.gram[FIRST:, FIRST:]
    target = block.gram[FIRST:, JOULES] - idle_watts * block.gram[FIRST:, SECONDS]
    size = len(target)
    if not size or block.rows == 0 or busy.sum() <= 0:
        return None
    mean = max(0.0, float(target.sum()) / float(busy.sum()))
    scale = RIDGE * float(np.trace(busy)) / size + 1e-300
    free: Floats = np.linalg.solve(busy + scale * np.eye(size), target).astype(np.float64)
    noise = _left(block, idle_watts, free) / max(1, block.rows - size)
    prior = max(scale, noise / mean**2 if mean > 0 else 0.0)
    gram = busy + prior * np.eye(size)
    return Fit(nnls(gram, target + prior * mean), gram, noise, block.gram[FIRST:, SECONDS])


def _left(block: Block, idle_watts: float, watts: Floats) -> float:
    """Sum of squares about a fit, never negative."""
    weights = np.zeros(len(block.gram))
    weights[SECONDS], weights[JOULES], weights[FIRST:] = idle_watts, -1.0, watts
    return max(0.0, float(weights @ block.gram @ weights))


def fit_all(block: Block) -> dict[int, tuple[float, float]]:
    """Watts of each column and one standard error, idle power fitted too: what it was in the past need not be what it is."""
    columns = np.insert(np.flatnonzero(np.diagonal(block.gram)[FIRST:] > 0) + FIRST, 0, SECONDS)
    gram = block.gram[np.ix_(columns, columns)]
    solved = solve(gram, block.gram[columns, JOULES])
    if solved is None or block.rows < FEWEST_ROWS + len(columns):
        return {}
    noise = left_over(block, columns, solved) / (block.rows - len(columns))
    errors: Floats = np.sqrt(noise * np.diagonal(np.linalg.inv(gram)))
    return dict(zip(columns.tolist(), zip(solved.tolist(), errors.tolist(), strict=True), strict=True))


def bent(block: Block, idle_watts: float | None) -> bool:
    """Whether power is not the sum of its parts, as under a power cap: Tukey's one degree of freedom for non-additivity.

    Tukey, One Degree of Freedom for Non-Additivity, Biometrics 5 (1949): the square of what the fit predicts explains
    something of what it leaves over.

    Args:
        idle_watts: None where it is fitted too.
    """
    ran = np.flatnonzero(np.diagonal(block.gram)[FIRST:] > 0) + FIRST
    if idle_watts is None:
        ran = np.insert(ran, 0, SECONDS)
    if block.rows < FEWEST_ROWS + len(ran) or block.gram[BEND, BEND] <= 0:
        return False
    gram = np.array(block.gram)
    gram[JOULES] -= (idle_watts or 0.0) * gram[SECONDS]
    gram[:, JOULES] -= (idle_watts or 0.0) * gram[:, SECONDS]
    dynamic = Block(gram, block.rows)
    both = np.append(ran, BEND)
    straight, curved = (solve(dynamic.gram[np.ix_(at, at)], dynamic.gram[at, JOULES]) for at in (ran, both))
    if straight is None or curved is None:
        return False
    left, least = left_over(dynamic, ran, straight), left_over(dynamic, both, curved)
    explained = max(0.0, left - least)
    noise = least / (block.rows - len(both))
    part = math.sqrt(explained / max(1e-300, float(dynamic.gram[JOULES, JOULES])))
    return explained > BENT_F * noise and part > BENT_PART


def solve(gram: Floats, target: Floats) -> Floats | None:
    """Least squares without signs; None where the columns cannot be told apart."""
    scale = 1 / np.sqrt(np.maximum(np.diagonal(gram), 1e-300))
    scaled = gram * np.outer(scale, scale)
    if not np.all(np.isfinite(scaled)) or np.linalg.cond(scaled) > 1e10:
        return None
    return scale * np.linalg.solve(scaled, scale * target)


def left_over(block: Block, columns: Columns, solved: Floats) -> float:
    """Sum of squares of joules about a fit over some columns, never negative."""
    weights = np.zeros(len(block.gram))
    weights[JOULES] = -1.0
    weights[columns] = solved
    return max(0.0, float(weights @ block.gram @ weights))
