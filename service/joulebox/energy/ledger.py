"""The ledger: shares a device's energy out to the models that ran. Pure: no clock, no files.

One ledger a device. It is fed with polls of the counter and books each interval between two changes of it:

- *idle*: idle power x time, as far as the joules go. A shortfall while models ran (noise, a late tick) is made up from their
  next interval, since clipping each one at zero alone would book noise as work.
- *dynamic*, to the models that ran, by busy time x power weight.
- *unattributed*, by reason, what is left: nothing ran, or it cannot be split yet.

Dynamic + idle + unattributed is always what the device used. A gap is unknown: its joules and its work are left out. A model's
part of the idle energy is a view of the device's, by time loaded, and no second count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from joulebox.energy.idle import Idle, IdleSource
from joulebox.energy.intervals import Interval, Intervals, Key, Work
from joulebox.energy.power import Power

Reason = Literal["nothing_running", "idle_unknown", "learning", "starting", "handover", "beyond_estimate"]
"""Why energy is nobody's: no model ran; idle power is not known; two models cannot be told apart yet; the first change of a
counter ends a tick that began before it was watched; one worker took over from another; more than an estimate gives a busy
model."""

DEBT_S = 5.0  # at most so many seconds of idle power are made up later


@dataclass
class Account:
    """What a model has used on one device, as far as it is settled."""

    joules: float = 0.0
    """Dynamic energy."""
    busy_s: float = 0.0
    items: int = 0
    idle_joules: float = 0.0
    """Its part of the device's idle energy, by time loaded: a view."""
    known_s: float = 0.0
    """How long it was loaded while the device's energy was known and could be shared out."""
    loaded_s: float = 0.0
    """Its part of the time, shared evenly with the others that were loaded."""

    @property
    def joules_per_item(self) -> float | None:
        return self.joules / self.items if self.items else None

    @property
    def watts(self) -> float | None:
        """Mean dynamic power while the model was busy."""
        return self.joules / self.busy_s if self.busy_s else None


@dataclass(frozen=True)
class Settlement:
    """A model's part of one interval."""

    joules: float
    items: int
    idle_joules: float = 0.0
    loaded_s: float = 0.0
    """Its part of the time, which all that were loaded share evenly."""


@dataclass(frozen=True)
class Booking:
    """One interval, shared out: joules = Σ models' joules + idle + unattributed."""

    joules: float
    idle_joules: float
    unattributed_joules: float
    reason: Reason
    models: dict[Key, Settlement]


@dataclass
class Ledger:
    """One device's account book."""

    busy_watts: float | None = None
    """See `Device.busy_watts`: such a device's idle power is given or not known, and all models weigh the same."""
    tick_s: float | None = None
    """How often the counter is updated; 0 for one that is continuous, None where it is not known."""
    calibration: Idle | None = None
    """Idle power that is given: measured on purpose, or by what an estimate assumes."""
    total_joules: float = 0.0
    dynamic_joules: float = 0.0
    """Of all models ever, those unloaded since included."""
    idle_joules: float = 0.0
    unattributed: dict[Reason, float] = field(default_factory=dict[Reason, float])
    watts: float | None = None
    """Mean power over the last interval; None where it is not known."""
    settled: int = 0
    """Intervals booked."""
    accounts: dict[Key, Account] = field(default_factory=dict[Key, Account])
    _debt_joules: float = 0.0

    def __post_init__(self) -> None:
        self._intervals = Intervals(self.tick_s)
        self._power = Power(self.calibration)

    def feed(
        self, at_s: float, joules: float | None, work: Mapping[Key, Work], *, hold: bool = False
    ) -> Booking | None:
        """One poll of the counter.

        Args:
            at_s: when, on a monotonic clock.
            joules: what the meter says; None where it could not be read, or where the host was suspended since the last poll.
            work: each loaded model's busy time and items so far; a model that is missing was unloaded.
            hold: see `Intervals.feed`.

        Returns:
            What was booked; None where the counter stood still or there was a gap.
        """
        gaps = self._intervals.gaps
        interval = self._intervals.feed(at_s, joules, work, hold=hold)
        if self._intervals.gaps != gaps:
            self.watts, self._debt_joules = None, 0.0
            self._power.broken()
        if interval is None:
            return None
        self.accounts = {key: self.accounts.get(key) or Account() for key in interval.loaded}
        booking = self._book(interval)
        self._enter(interval, booking)
        if self.busy_watts is None:
            self._power.learn(interval)
        return booking

    def hand_over(self) -> None:
        """From here on another process feeds; see `Intervals.hand_over`."""
        self._intervals.hand_over()

    @property
    def unattributed_joules(self) -> float:
        return sum(self.unattributed.values())

    @property
    def idle_watts(self) -> float | None:
        """Idle power; None where it is not known."""
        idle = self._power.idle
        return idle.watts if idle else None

    @property
    def idle_source(self) -> IdleSource | None:
        """How it is known."""
        idle = self._power.idle
        return idle.source if idle else None

    @property
    def nonlinear(self) -> bool:
        """Whether models together use other than the sum of what each uses, as under a power cap: figures are less sure."""
        return self._power.nonlinear

    @property
    def gaps(self) -> int:
        """How often the counter's energy was unknown for a while, and `unknown_s` for how long."""
        return self._intervals.gaps

    @property
    def unknown_s(self) -> float:
        return self._intervals.unknown_s

    def ci95(self, key: Key) -> tuple[float, float] | None:
        """The 95 % interval of a model's joules per item; None where too little was seen to say."""
        account = self.accounts.get(key)
        error_watts = self._power.error_watts(key)
        if account is None or error_watts is None or not account.items:
            return None
        mean = account.joules / account.items
        # At either end an item may be counted whose joules are not, or the other way round.
        half = math.hypot(error_watts * account.busy_s / account.items, mean / account.items)
        return max(0.0, mean - half), mean + half

    def busy_watts_of(self, key: Key) -> float | None:
        """What a model adds while it is busy, by the figures settled so far; None where there are none yet."""
        account = self.accounts.get(key)
        return (account.watts if account else None) or self.busy_watts

    def _book(self, interval: Interval) -> Booking:
        if interval.partial:
            return _unsplit(interval, interval.partial)
        if self.busy_watts is not None:
            return self._book_estimate(interval, self.busy_watts)
        idle = self._power.idle
        if idle is None:
            return _unsplit(interval, "idle_unknown")
        if not interval.busy_s:
            part = min(interval.joules, idle.watts * interval.seconds)
            return self._booking(interval, part, {}, "nothing_running")
        if not self._power.ready(interval.busy_s):
            return _unsplit(interval, "learning")
        owed = idle.watts * interval.seconds + self._debt_joules
        part = min(interval.joules, owed)
        self._debt_joules = min(owed - part, DEBT_S * idle.watts)
        return self._booking(interval, part, self._shares(interval, interval.joules - part), "nothing_running")

    def _shares(self, interval: Interval, joules: float) -> dict[Key, float]:
        weights = self._power.weights(interval.busy_s)
        parts = {key: weights[key] * busy_s for key, busy_s in interval.busy_s.items()}
        total = sum(parts.values())
        if total <= 0:  # those that ran have no weight yet
            parts, total = interval.busy_s, sum(interval.busy_s.values())
        elif interval.tail:  # at most twice the expected can have been carried over
            joules = min(joules, 2 * total)
        return {key: joules * (part / total) for key, part in parts.items()}

    def _book_estimate(self, interval: Interval, most_watts: float) -> Booking:
        idle, total_s = self._power.idle, sum(interval.busy_s.values())
        part = min(interval.joules, idle.watts * interval.seconds) if idle else 0.0
        shares = {
            key: min((interval.joules - part) * (busy_s / total_s), most_watts * busy_s)
            for key, busy_s in interval.busy_s.items()
        }
        return self._booking(interval, part, shares, "beyond_estimate" if shares else "nothing_running")

    def _booking(self, interval: Interval, idle: float, shares: dict[Key, float], reason: Reason) -> Booking:
        models = {key: Settlement(joules, 0) for key, joules in shares.items()}
        for key in interval.loaded:
            models[key] = Settlement(
                shares.get(key, 0.0),
                interval.items.get(key, 0),
                idle / len(interval.loaded),
                interval.seconds / len(interval.loaded),
            )
        left = max(0.0, interval.joules - idle - sum(shares.values()))
        return Booking(interval.joules, idle, left, reason, models)

    def _enter(self, interval: Interval, booking: Booking) -> None:
        self.settled += 1
        self.total_joules += booking.joules
        self.idle_joules += booking.idle_joules
        self.watts = interval.joules / interval.seconds
        if booking.unattributed_joules > 0:
            before = self.unattributed.get(booking.reason, 0.0)
            self.unattributed[booking.reason] = before + booking.unattributed_joules
        for key, part in booking.models.items():
            self.dynamic_joules += part.joules
            account = self.accounts.get(key)
            if account is not None:
                account.joules += part.joules
                account.idle_joules += part.idle_joules
                account.loaded_s += part.loaded_s
                account.items += part.items
                account.busy_s += interval.busy_s.get(key, 0.0)
                account.known_s += interval.seconds


def _unsplit(interval: Interval, reason: Reason) -> Booking:
    """All of it is nobody's, and the work done meanwhile is in no mean."""
    return Booking(interval.joules, 0.0, interval.joules, reason, {})
