"""One clock for all cores, as Linux's schedutil governs it: it follows the busiest model's utilisation, and lags behind.

Utilisation is that of a core at its fastest clock, a mean of the past that halves every 32 ms (PELT). The next clock is the
lowest step that leaves a fifth of it free. Dynamic power is clock x volts², volts rising linearly with the clock: about cubic.
See https://docs.kernel.org/scheduler/schedutil.html; clocks and volts here are parts of the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERIOD_S = 0.01
HALF_LIFE_S = 0.032
HEADROOM = 1.25


@dataclass(frozen=True)
class Governor:
    """What clocks there are."""

    slowest: float = 0.3
    step: float = 0.05
    slowest_volts: float = 0.6
    turbo: float = 0.0
    """By how much the fastest clock falls with each further model that runs."""

    def next(self, utilisation: float) -> float:
        """The clock for a utilisation."""
        wanted = math.ceil(HEADROOM * utilisation / self.step - 1e-9) * self.step
        return min(1.0, max(self.slowest, wanted))

    def fastest(self, running: int) -> float:
        """While so many run."""
        return max(self.slowest, 1.0 - self.turbo * max(0, running - 1))

    def power(self, clock: Floats) -> Floats:
        """Dynamic power as a part of that at the fastest clock."""
        return clock * np.interp(clock, [self.slowest, 1.0], [self.slowest_volts, 1.0]) ** 2


FIXED = Governor(slowest=1.0, slowest_volts=1.0)
"""No governor: one clock."""


class Clock:
    """What a governor makes of the work as it comes."""

    def __init__(self, governor: Governor, models: int) -> None:
        self._governor = governor
        self._target = governor.slowest
        self._utilisation = np.zeros(models)
        self._done_s = np.zeros(models)  # in this period
        self.due_s = PERIOD_S if governor.slowest < 1.0 else math.inf
        """When it is next decided on."""

    def now(self, running: int) -> float:
        """Seconds of work at the fastest clock that are done in one second."""
        return min(self._target, self._governor.fastest(running))

    def advance(self, until_s: float, done_s: Sequence[float]) -> None:
        """Takes in how much work each model did until then."""
        self._done_s += done_s
        if until_s < self.due_s:
            return
        kept = 0.5 ** (PERIOD_S / HALF_LIFE_S)
        self._utilisation = kept * self._utilisation + (1 - kept) * self._done_s / PERIOD_S
        self._done_s[:] = 0.0
        self._target = self._governor.next(float(self._utilisation.max()))
        self.due_s += PERIOD_S
