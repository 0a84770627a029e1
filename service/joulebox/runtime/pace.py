"""When to ask a counter next. Pure: no clock.

A counter that is updated every few hundred milliseconds is asked finely when its next update is due, so that the time of the
update is known to a twentieth of a tick, and not at all in between.
"""

from __future__ import annotations

from dataclasses import dataclass

INTERVAL_S = 0.25  # for counters that are updated more often than they are asked
COARSE_S = 0.02  # such a tick is waited for
SETTLE_S = 0.1  # no more than so often
STEPS = 20  # of a tick
STEP_S = 0.002  # at least
LATE_TICKS = 2.0  # by which a counter may be late; then it stands still and is asked at leisure


@dataclass
class Pace:
    """Of one counter."""

    tick_s: float | None
    """None where it is not known."""
    holds: bool = False
    """The poll that is due next comes after several ticks: a change that it shows may be an old one."""
    _changed_s: float | None = None
    _unchanged_s: float | None = None
    """When it was asked since, and had not changed."""
    _next_s: float = 0.0

    @property
    def next_s(self) -> float:
        """When to ask again, on the clock of `asked`."""
        return self._next_s

    def waits(self, now_s: float) -> bool:
        """Whether the next update is known to be due later, so that asking before tells nothing."""
        return (self.tick_s or 0.0) >= COARSE_S and self._changed_s is not None and now_s < self._next_s

    def asked(self, at_s: float, *, changed: bool) -> None:
        """The counter was asked; it had changed since the last time, at a time that is known, or not."""
        tick_s = self.tick_s or 0.0
        if tick_s < COARSE_S:
            self._next_s = at_s + INTERVAL_S
            return
        step_s = max(STEP_S, tick_s / STEPS)
        self.holds = False
        if changed:
            ticks = max(1, round(SETTLE_S / tick_s))
            self.holds = ticks > 1
            self._next_s = max(at_s, self._earliest_s(at_s, tick_s) + ticks * tick_s - step_s)
            self._changed_s, self._unchanged_s = at_s, None
            return
        self._unchanged_s = at_s
        if self._changed_s is None or at_s < self._changed_s + max(tick_s, SETTLE_S) + LATE_TICKS * tick_s:
            self._next_s = at_s + step_s
        else:
            self._next_s = at_s + INTERVAL_S

    def _earliest_s(self, at_s: float, tick_s: float) -> float:
        """When a change that was seen now may have been, and as much before: asking is late where the host is busy."""
        doubt_s = tick_s if self._unchanged_s is None else at_s - self._unchanged_s
        return at_s - 2 * min(doubt_s, tick_s / 6)
