"""Idle power of a host that is never idle: the intercept of power over busy time.

An interval counts the more, the less ran in it. Power is a straight line over busy time only near rest, where clocks follow
the load or a cap cuts it: counted alike, such intervals lead to an intercept that is far off, and looks sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from joulebox.energy.blocks import Block, Blocks
from joulebox.energy.fit import solve
from joulebox.energy.idle import Idle
from joulebox.energy.intervals import Interval
from joulebox.energy.moments import FIRST, JOULES, SECONDS, Moments
from joulebox.energy.weights import Columns

BLOCK_S, WINDOW_BLOCKS = 5.0, 30
BLOCKS, ROWS = 6, 20  # at least
NEAR = 0.3  # an interval counts by 1 / (NEAR + its busy seconds per second)²
LEVERAGE = 50.0  # how far it may be extrapolated
ERROR = 0.05  # of it, at most, or it is not published


@dataclass
class Intercept:
    """Learns from the intervals in which something ran."""

    idle: Idle | None = None
    _moments: Moments = field(default_factory=lambda: Moments(BLOCK_S, WINDOW_BLOCKS, past_blocks=0))

    def learn(self, interval: Interval) -> None:
        """Takes in an interval."""
        near = 1 / (NEAR + sum(interval.busy_s.values()) / interval.seconds) ** 2
        if self._moments.add(interval.seconds, interval.joules, 0.0, interval.busy_s, weight=near):
            self.idle = _intercept(self._moments.window)


def _intercept(blocks: Blocks) -> Idle | None:
    """None where utilisation varied too little to say, or where parts of the past say different things."""
    if len(blocks) < BLOCKS:
        return None
    every = blocks.total
    columns = np.insert(np.flatnonzero(np.diagonal(every.gram)[FIRST:] > 0) + FIRST, 0, SECONDS)
    if every.rows < ROWS + len(columns):
        return None
    found = [_at_rest(block, columns) for block in (every, *blocks.each_left_out)]
    watts = [each for each in found if each is not None]
    if len(watts) < len(found):
        return None
    error = math.sqrt((len(blocks) - 1) * float(np.var(watts[1:])))  # block jackknife
    gram = every.gram[np.ix_(columns, columns)]
    leverage = float(gram[0, 0]) * float(np.linalg.inv(gram)[0, 0])
    if watts[0] <= 0 or error > ERROR * watts[0] or leverage > LEVERAGE:
        return None
    return Idle(watts[0], error, "regression")


def _at_rest(block: Block, columns: Columns) -> float | None:
    solved = solve(block.gram[np.ix_(columns, columns)], block.gram[columns, JOULES])
    return None if solved is None else float(solved[0])
