"""What each model uses while it runs alone: needs no adding up, and so is right where power is not additive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from joulebox.energy.idle import Idle
from joulebox.energy.intervals import Interval, Key

KNOWN_S = 1.0  # of running alone
WINDOW_S = 30.0  # what lies further back counts ever less


@dataclass
class _Alone:
    busy_s: float = 0.0
    joules: float = 0.0


@dataclass
class Solo:
    """Dynamic watts of each loaded model alone."""

    _seen: dict[Key, _Alone] = field(default_factory=dict[Key, _Alone])

    def learn(self, interval: Interval, idle: Idle | None) -> None:
        """Takes in an interval in which one model alone ran."""
        if idle is None or len(interval.busy_s) != 1 or interval.tail:
            return
        ((key, busy_s),) = interval.busy_s.items()
        if key not in self._seen:
            self._seen = {each: seen for each, seen in self._seen.items() if each in interval.loaded}
        alone = self._seen.setdefault(key, _Alone())
        kept = WINDOW_S / (WINDOW_S + busy_s)
        alone.busy_s = alone.busy_s * kept + busy_s
        alone.joules = alone.joules * kept + interval.joules - idle.watts * interval.seconds

    def watts(self, models: Iterable[Key]) -> dict[Key, float] | None:
        """Of these models; None unless all of them were seen alone for long enough."""
        found: dict[Key, float] = {}
        for key in models:
            alone = self._seen.get(key)
            if alone is None or alone.busy_s < KNOWN_S or alone.joules <= 0:
                return None
            found[key] = alone.joules / alone.busy_s
        return found
