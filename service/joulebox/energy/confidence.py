"""How sure a model's watts are: the spread of what would have been found without this or that part of the past.

Block jackknife (Quenouille 1949; Künsch, Annals of Statistics 17, 1989): neighbouring rows need not be independent. Where a
model ran in few blocks the spread of these says little, and the regression's own covariance with the prior's width is wider.
"""

from __future__ import annotations

import numpy as np

from joulebox.energy.blocks import Block, Blocks
from joulebox.energy.fit import Fit, fit
from joulebox.energy.idle import Idle
from joulebox.energy.moments import FIRST, JOULES, SECONDS
from joulebox.energy.weights import Floats

BLOCKS = 6  # fewer tell nothing of their spread
RUNNING = 1.2  # joules are booked with the weights of their time, which were less sure than the last ones


def errors(past: Blocks, idle: Idle) -> Floats | None:
    """One standard error of each column's watts; None where too little was seen.

    Args:
        past: the sums over stretches of time.
    """
    if len(past) < BLOCKS:
        return None
    every = past.total
    found = fit(every, idle.watts)
    if found is None:
        return None
    spread = _spread(past, every, found, idle.watts)
    inverse = np.linalg.inv(found.gram)
    own = found.noise * np.diagonal(inverse)
    by_idle = (inverse @ found.seconds_by_busy * idle.error_watts) ** 2
    return RUNNING * np.sqrt(np.maximum(spread, own) + by_idle)


def _spread(past: Blocks, every: Block, found: Fit, idle_watts: float) -> Floats:
    """Variance of each column's watts, by leaving out one block after the other."""
    size = len(found.watts)
    prior: Floats = np.diagonal(found.gram) - np.diagonal(every.gram)[FIRST:]
    mean = float(found.watts.mean())
    without = every.gram - past.grams
    grams = without[:, FIRST:, FIRST:] + np.eye(size) * prior
    targets = without[:, FIRST:, JOULES] - idle_watts * without[:, FIRST:, SECONDS] + prior * mean
    watts = np.linalg.solve(grams, targets[..., None])[..., 0]
    count = len(past)
    return (count - 1) / count * ((watts - watts.mean(axis=0)) ** 2).sum(axis=0)


def quantile(blocks: int) -> float:
    """Of Student's t at 97.5 %, by its expansion about the normal's (Abramowitz and Stegun 26.7.5): 1 % short for three blocks."""
    z, freedom = 1.959964, max(1, blocks - 1)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))
