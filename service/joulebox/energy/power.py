"""What is learnt of a device's power while it works: idle watts, each model's watts, whether they add up, how sure they are."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from joulebox.energy.blocks import Block
from joulebox.energy.confidence import errors, quantile
from joulebox.energy.fit import bent, fit, fit_all, left_over, solve
from joulebox.energy.idle import STALE_S, Idle, QuietPower
from joulebox.energy.intercept import Intercept
from joulebox.energy.intervals import Interval, Key
from joulebox.energy.moments import FIRST, JOULES, SECONDS, Moments
from joulebox.energy.solo import Solo
from joulebox.energy.weights import Floats

ROW_S = 0.5
ROW_DOUBTS = (
    20  # a row is so many times as long as the doubt about its ends: errors in busy time would flatten the weights
)
READY_ROWS, KNOWN_ROWS = 20, 5  # in all, and of each model, before two models' joules can be told apart
NEWEST_BLOCKS = 6  # compared with the rest of the window: has something changed?
CHANGED_F = 12.0
CHANGED_PART = 0.03  # of the dynamic energy
ALONE_ERRORS, ALONE_PART = (
    3.0,
    0.05,
)  # standard errors, and part of the watts, by which a model alone differs from the fit


@dataclass
class _Row:
    """Contiguous intervals that become one row."""

    seconds: float = 0.0
    joules: float = 0.0
    bend: float = 0.0
    """Σ square of the predicted dynamic joules / seconds, over its intervals."""
    busy_s: dict[Key, float] = field(default_factory=dict[Key, float])


@dataclass
class Power:
    """Learns from intervals, and is asked by the ledger."""

    calibration: Idle | None = None
    nonlinear: bool = False
    quiet: QuietPower = field(default_factory=QuietPower)
    _moments: Moments = field(default_factory=Moments)
    _row: _Row = field(default_factory=_Row)
    _row_s: float = ROW_S
    _watts: dict[Key, float] = field(default_factory=dict[Key, float])
    _solo: Solo = field(default_factory=Solo)
    _intercept: Intercept | None = None
    """While nothing was quiet for long."""
    _rows: int = 0
    _rows_of: dict[Key, int] = field(default_factory=dict[Key, int])
    _errors: Floats | None = None

    @property
    def idle(self) -> Idle | None:
        """The best that is known of idle power; None where nothing is."""
        seen = self._intercept.idle if self._intercept else None
        return seen or self.quiet.idle or self.calibration

    def ready(self, models: Collection[Key]) -> bool:
        """Whether the joules of these can be shared out: idle power is known, and they can be told apart."""
        if self.idle is None or (self._rows < READY_ROWS and len(self._moments.columns) > 1):
            return False
        return len(models) < 2 or all(self._rows_of.get(key, 0) >= KNOWN_ROWS for key in models)

    def learn(self, interval: Interval) -> None:
        """Takes in an interval."""
        if interval.partial:
            self.broken()
            return
        if interval.quiet:
            self.quiet.add(interval.seconds, interval.joules)
        else:
            self.quiet.passed(interval.seconds)
        self._learn_intercept(interval)
        self._row_s += 0.05 * (max(ROW_S, ROW_DOUBTS * interval.doubt_s) - self._row_s)
        row = self._row
        row.seconds += interval.seconds
        row.joules += interval.joules
        predicted = 0.0
        for key, busy_s in interval.busy_s.items():
            row.busy_s[key] = row.busy_s.get(key, 0.0) + busy_s
            predicted += self._watts.get(key, 0.0) * busy_s
        row.bend += predicted**2 / interval.seconds
        self._solo.learn(interval, self.idle)
        if row.seconds >= self._row_s:
            self._row = _Row()
            if row.busy_s:
                self._add(row)

    def _learn_intercept(self, interval: Interval) -> None:
        if self.quiet.idle is not None and self.quiet.age_s < STALE_S:
            self._intercept = None
        elif not interval.quiet:
            self._intercept = self._intercept or Intercept()
            self._intercept.learn(interval)

    def broken(self) -> None:
        """A gap: what was gathered for a row does not go on."""
        self._row = _Row()

    def weights(self, busy_s: Mapping[Key, float]) -> dict[Key, float]:
        """Each running model's watts as fitted; one not seen yet counts as the others. Alone, where it is the company that makes
        a difference, or where that is surer: with clocks that follow the load, before the fit has shown it."""
        alone = self._solo.watts(busy_s)
        if alone is not None and (self.nonlinear or self._surer_alone(busy_s)):
            return alone
        watts = self._watts
        known = [watts[key] for key in busy_s if key in watts]
        other = sum(known) / len(known) if known else 1.0
        found = {key: watts.get(key, other) for key in busy_s}
        return found if sum(found.values()) > 0 else dict.fromkeys(busy_s, 1.0)

    def _surer_alone(self, models: Iterable[Key]) -> bool:
        known, fitted = self._solo.known(), self._errors
        if fitted is None:
            return False
        columns = {key: self._moments.columns.get(key, 0) - FIRST for key in models}
        return all(0 <= at < len(fitted) and known[key].error_watts <= fitted[at] for key, at in columns.items())

    def error_watts(self, key: Key) -> float | None:
        """Half a 95 % interval of a model's watts; None where too little was seen."""
        column = self._moments.columns.get(key)
        if self._errors is None or column is None or column - FIRST >= len(self._errors):
            return None
        return float(quantile(len(self._moments.past)) * self._errors[column - FIRST])

    def _add(self, row: _Row) -> None:
        closed = self._moments.add(row.seconds, row.joules, row.bend, row.busy_s)
        self._rows += 1
        counts = {key: self._rows_of.get(key, 0) for key in self._moments.columns}
        self._rows_of = {key: count + (key in row.busy_s) for key, count in counts.items()}
        if closed:
            self._review()
        idle = self.idle
        if idle is not None:
            fitted = fit(self._moments.recent(), idle.watts)
            watts: list[float] = [] if fitted is None else fitted.watts.tolist()
            self._watts = {key: watts[at - FIRST] for key, at in self._moments.columns.items() if watts}

    def _review(self) -> None:
        """What need not be asked at every row: has something changed, do the parts add up, how sure is it."""
        if _changed(self._moments):
            self._moments.forget_before(NEWEST_BLOCKS)
        idle = self.idle
        if idle is None:
            return
        self._errors = errors(self._moments.past, idle)
        fitted = None if idle.source == "regression" else idle.watts
        self.nonlinear = bent(self._moments.recent(), fitted) or self._contradicted()

    def _contradicted(self) -> bool:
        """Whether a model alone uses other than the fit gives it: then it is the company that makes the difference."""
        fitted = fit_all(self._moments.recent())
        for key, alone in self._solo.known().items():
            watts, error = fitted.get(self._moments.columns.get(key, -1), (alone.watts, 0.0))
            off = abs(watts - alone.watts)
            if off > ALONE_PART * alone.watts and off > ALONE_ERRORS * math.hypot(alone.error_watts, error):
                return True
        return False


def _changed(moments: Moments) -> bool:
    """Whether the newest blocks and the rest of the window are better explained apart (Chow, Econometrica 28, 1960)."""
    blocks = moments.window
    if len(blocks) < 2 * NEWEST_BLOCKS:
        return False
    both = blocks.total
    left = [_left_of(block) for block in (blocks[-NEWEST_BLOCKS:].total, blocks[:-NEWEST_BLOCKS].total, both)]
    if None in left:
        return False
    apart, together = (left[0] or 0.0) + (left[1] or 0.0), left[2] or 0.0
    columns = len(both.gram) - FIRST + 1
    explained = max(0.0, together - apart)
    noise = apart / max(1, both.rows - 2 * columns)
    return explained > CHANGED_F * columns * noise and explained > CHANGED_PART**2 * float(both.gram[JOULES, JOULES])


def _left_of(block: Block) -> float | None:
    """Sum of squares about the block's own fit with an intercept."""
    columns = np.insert(np.flatnonzero(np.diagonal(block.gram)[FIRST:] > 0) + FIRST, 0, SECONDS)
    solved = solve(block.gram[np.ix_(columns, columns)], block.gram[columns, JOULES])
    return None if solved is None else left_over(block, columns, solved)
