"""What each model uses while it runs alone: needs no adding up, and so is right where power is not additive."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from joulebox.energy.idle import Idle
from joulebox.energy.intervals import Interval, Key

KNOWN_S, KNOWN_ERROR = 1.0, 0.1  # of running alone; of its watts
WINDOW_S = 15.0  # of running alone: what lies further back counts ever less


@dataclass(frozen=True)
class Alone:
    """What is known of a model that ran alone, newer intervals counting for more: sums, and sums of squares and products."""

    busy_s: float = 0.0
    joules: float = 0.0
    squares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of busy seconds, of the two, of joules."""

    @property
    def known(self) -> bool:
        return self.busy_s >= KNOWN_S and self.joules > 0 and self.error_watts < KNOWN_ERROR * self.watts

    @property
    def watts(self) -> float:
        return self.joules / self.busy_s

    @property
    def error_watts(self) -> float:
        """One standard error."""
        busy, both, joules = self.squares
        return math.sqrt(max(0.0, joules - 2 * self.watts * both + self.watts**2 * busy)) / self.busy_s

    def and_then(self, busy_s: float, joules: float) -> Alone:
        """With one more interval."""
        kept = WINDOW_S / (WINDOW_S + busy_s)
        products = (busy_s**2, busy_s * joules, joules**2)
        squares = [kept * before + new for before, new in zip(self.squares, products, strict=True)]
        return Alone(self.busy_s * kept + busy_s, self.joules * kept + joules, (squares[0], squares[1], squares[2]))


@dataclass
class Solo:
    """Dynamic watts of each loaded model alone."""

    _seen: dict[Key, Alone] = field(default_factory=dict[Key, Alone])

    def learn(self, interval: Interval, idle: Idle | None) -> None:
        """Takes in an interval in which one model alone ran."""
        if idle is None or len(interval.busy_s) != 1 or interval.tail:
            return
        ((key, busy_s),) = interval.busy_s.items()
        if key not in self._seen:
            self._seen = {each: seen for each, seen in self._seen.items() if each in interval.loaded}
        before = self._seen.get(key) or Alone()
        self._seen[key] = before.and_then(busy_s, interval.joules - idle.watts * interval.seconds)

    def known(self) -> dict[Key, Alone]:
        """Of the models that were seen alone for long enough to know."""
        return {key: alone for key, alone in self._seen.items() if alone.known}

    def watts(self, models: Iterable[Key]) -> dict[Key, float] | None:
        """Of these models; None unless all of them are known."""
        known = self.known()
        return {key: known[key].watts for key in models} if all(key in known for key in models) else None
