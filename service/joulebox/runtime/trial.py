"""A trial of batches that wait longer: turns of the usual delay and of the longer one, compared in pairs. Pure.

The turns of a pair follow each other, and every other pair begins with the longer delay (usual, longer, longer, usual, …), so that
a load that changes slowly does not count for either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, stdev

from joulebox.energy.confidence import quantile
from joulebox.runtime.spending import NOTHING, Use, Uses

PAIRS = 6
EFFECT_S = 1.0  # for all workers to follow, and to end what they had begun
TURN_S, TURN_MAX_S = 10.0, 180.0
TURN_SETTLED, TURN_ITEMS = 4, 100  # at least, on each device
GAIN_MIN = 0.02  # less is not worth the wait


@dataclass(frozen=True)
class Finding:
    """What a trial has shown, in dynamic joules per inference."""

    usual_joules: float
    longer_joules: float
    gain: float
    """What the longer delay saves, as a part of the usual joules."""
    error: float
    """Half of the gain's 95 % interval."""

    @property
    def helps(self) -> bool:
        """Whether it saves enough, beyond its own uncertainty."""
        return self.gain >= GAIN_MIN and self.gain > self.error


@dataclass
class Trial:
    """Of one model, from its beginning to its finding."""

    _turn_s: float
    """When the turn began."""
    _results: list[float] = field(default_factory=list[float])
    """Joules per inference of each turn."""
    _switched: Uses | None = None
    _from: Uses | None = None
    _from_s: float = 0.0

    @property
    def longer(self) -> bool:
        """Whether this turn is one of the longer delay."""
        return _is_longer(len(self._results))

    @property
    def finding(self) -> Finding | None:
        """None until all turns are through."""
        if len(self._results) < 2 * PAIRS:
            return None
        turns = list(enumerate(self._results))
        usual = [joules for number, joules in turns if not _is_longer(number)]
        longer = [joules for number, joules in turns if _is_longer(number)]
        saved = [before - after for before, after in zip(usual, longer, strict=True)]  # pair by pair
        mean = fmean(usual)
        if mean <= 0:
            return Finding(mean, fmean(longer), 0.0, 0.0)
        error = quantile(PAIRS) * stdev(saved) / math.sqrt(PAIRS)
        return Finding(mean, fmean(longer), fmean(saved) / mean, error / mean)

    def feed(self, now_s: float, uses: Uses) -> None:
        """Goes on, with what the model has used so far."""
        if not uses or now_s - self._turn_s < EFFECT_S:
            return
        if self._switched is None:
            self._switched = uses
        elif self._from is None:
            # An interval that began under the turn before tells nothing of this one.
            if all(use.settled > self._switched.get(device, NOTHING).settled for device, use in uses.items()):
                self._from, self._from_s = uses, now_s
        elif now_s - self._from_s >= TURN_S:
            self._end(now_s, [use - self._from.get(device, NOTHING) for device, use in uses.items()])

    def stalled(self, now_s: float) -> bool:
        """Whether too little is computed for a turn to end."""
        return now_s - self._turn_s > TURN_MAX_S

    def _end(self, now_s: float, grown: list[Use]) -> None:
        """Ends the turn where enough is known of it, and begins the next one."""
        if any(use.settled < TURN_SETTLED or use.items < TURN_ITEMS for use in grown):
            return
        self._results.append(sum(use.joules / use.items for use in grown))
        self._turn_s, self._switched, self._from = now_s, None, None


def _is_longer(turn: int) -> bool:
    pair, second = divmod(turn, 2)
    return bool(second) is (pair % 2 == 0)
