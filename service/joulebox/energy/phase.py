"""One phase: what each device used while the host was at rest, or while something ran again and again.

A counter tells what was used until its last update. A device is therefore watched from one change of its counter to another,
each seen by asking finely when it is due, and hardly at all in between: asking uses energy too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from joulebox.energy.integrate import clock_s
from joulebox.energy.reader import Device, Meter, ReadError

STEPS = 20  # of a tick, to which the time of a change is known
STEP_S = 0.0005  # at least
ASSUMED_TICK_S, MODEL_TICK_S = 1.0, 0.01  # where it is not known: fewer than three changes in a second
SLOW_TICKS_S = {"battery": 30.0}  # by reader: what their documents say at most
LATE_TICKS, LATE_S = 5.0, 2.0  # by which a counter may be late; then it stands still
UNASKED_S = 5.0  # well before a counter could wrap around unseen
SAMPLES_S = 0.02, 0.25  # between two samples of power: half a tick, within these
SUSPENDED_S = 0.1


@dataclass(frozen=True)
class Timing:
    """Where time comes from."""

    now_s: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    with_sleep_s: Callable[[], float] = clock_s
    """A clock that goes on while the host is suspended."""


REAL = Timing()


@dataclass(frozen=True)
class Used:
    """What one device used between two changes of its counter."""

    joules: float
    seconds: float
    runs: float
    """How often what ran was run meanwhile."""

    @property
    def watts(self) -> float:
        return self.joules / self.seconds

    @property
    def runs_per_s(self) -> float:
        return self.runs / self.seconds


Outcome = Used | str
"""Of one device, or why its energy is not known."""

Progress = Callable[[float], float]
"""How often what runs was run by a moment, parts of a run included."""


def at_rest(_at_s: float) -> float:
    """The progress of nothing."""
    return 0.0


def tick_of(device: Device) -> float:
    """How often what the device says changes, or a time that is long enough where that is not known."""
    if device.kind == "model":
        return MODEL_TICK_S
    return device.tick_s or SLOW_TICKS_S.get(device.reader, ASSUMED_TICK_S)


def observe(
    meters: Sequence[Meter], seconds: float, settle_s: float, timing: Timing, progress: Progress = at_rest
) -> list[Outcome]:
    """Watches devices for so many seconds each, up to a tick or two more, from when the host has settled.

    Args:
        settle_s: left out at the beginning: clocks, voltages and what averages power follow with a delay.
    """
    begun_s, begun_with_sleep_s = timing.now_s(), timing.with_sleep_s()
    watches = [_Watch(meter, begun_s + settle_s, seconds, progress) for meter in meters]
    while under_way := [watch for watch in watches if watch.outcome is None]:
        next_s = min(watch.next_s for watch in under_way)
        timing.sleep(max(0.0, next_s - timing.now_s()))
        for watch in under_way:
            if timing.now_s() >= watch.next_s:
                watch.look(timing)
    timing.sleep(max(0.0, begun_s + settle_s + seconds - timing.now_s()))
    passed_s, passed_with_sleep_s = timing.now_s() - begun_s, timing.with_sleep_s() - begun_with_sleep_s
    if passed_with_sleep_s - passed_s > SUSPENDED_S:
        return [f"the host was suspended for {passed_with_sleep_s - passed_s:.1f} s"] * len(meters)
    return [watch.outcome or "not watched" for watch in watches]


@dataclass(frozen=True)
class _Change:
    at_s: float
    joules: float
    runs: float


class _Watch:
    """One device in one phase."""

    def __init__(self, meter: Meter, from_s: float, seconds: float, progress: Progress) -> None:
        device = meter.device
        tick_s = tick_of(device)
        self.outcome: Outcome | None = None
        self.next_s = from_s
        self._meter, self._progress, self._seconds = meter, progress, seconds
        self._counts = device.kind == "counter"
        self._step_s = max(STEP_S, tick_s / STEPS)
        self._late_s = LATE_S + LATE_TICKS * tick_s if self._counts else 2 * tick_s
        self._pause_s = UNASKED_S if self._counts else min(max(tick_s / 2, SAMPLES_S[0]), SAMPLES_S[1])
        self._due_s = from_s
        """When a change is waited for."""
        self._forgiven = False
        """The first error is that of the time since the last phase, in which nobody asked; that does not matter."""
        self._first: _Change | None = None
        self._last: tuple[float, float] | None = None

    def look(self, timing: Timing) -> None:
        """Asks the device, and finds out when to ask it next."""
        asked_s = timing.now_s()
        try:
            joules = self._meter.joules()
        except ReadError as error:
            if self._forgiven or self._last is not None:
                self.outcome = str(error)
            self._forgiven, self.next_s = True, asked_s + self._step_s
            return
        at_s = (asked_s + timing.now_s()) / 2
        change = self._change(at_s, joules)
        self._last = at_s, joules
        if change is not None:
            self._take(change)
        elif self._counts and at_s - self._due_s > self._late_s:
            self.outcome = f"the counter stood still for {at_s - self._due_s:.1f} s"
            return
        step_s = self._step_s if at_s >= self._due_s - self._step_s else self._pause_s
        self.next_s = max(at_s + self._step_s, min(at_s + step_s, self._due_s - self._step_s))

    def _change(self, at_s: float, joules: float) -> _Change | None:
        """A change that was waited for. Power is what it is at any moment, and may be 0 W: then the sum of it stands still."""
        if self._last is None:
            return None
        last_s, last_joules = self._last
        changed_s = (last_s + at_s) / 2 if self._counts else at_s
        still = not self._counts and at_s - self._due_s > self._late_s
        if changed_s < self._due_s or (joules == last_joules and not still):
            return None
        return _Change(changed_s, joules, self._progress(changed_s))

    def _take(self, change: _Change) -> None:
        first = self._first
        if first is None:
            self._first, self._due_s = change, change.at_s + self._seconds
            return
        self.outcome = Used(change.joules - first.joules, change.at_s - first.at_s, change.runs - first.runs)
