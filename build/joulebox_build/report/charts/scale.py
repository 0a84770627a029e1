"""From figures to places on paper, and where the ticks go."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

EDGE = 1e-9  # of a step: what rounding may cost


@dataclass(frozen=True)
class Scale:
    """Figures from `low` to `high` lie between `start` and `end`, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        part = (self._place(value) - self._place(self.low)) / (self._place(self.high) - self._place(self.low))
        return self.start + part * (self.end - self.start)

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, about: int = 5) -> list[float]:
        """Round figures within the scale."""
        return _decades(self.low, self.high) if self.log else _even(self.low, self.high, about)


def around(values: Iterable[float], start: float, end: float, *, log: bool = False, margin: float = 0.12) -> Scale:
    """A scale that has room for all of the values and a margin of its length on each side.

    Raises:
        ValueError: there are no values.
    """
    found = list(values)
    low, high = min(found), max(found)
    if log:
        factor = (high / low) ** margin if high > low else 2.0
        return Scale(low / factor, high * factor, start, end, log=True)
    room = (high - low) * margin or abs(high) * margin or 1.0
    return Scale(low - room, high + room, start, end)


def _even(low: float, high: float, about: int) -> list[float]:
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - EDGE))
    first, last = math.ceil(low / step - EDGE), math.floor(high / step + EDGE)
    return [count * step for count in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, and 2 and 5 of each where those are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        within = [tick for tick in found if low <= tick <= high]
        if len(within) >= 3:
            return within
    return [low, high] if len(within) < 2 else within
