"""Joules from a counter of energy that may wrap around, start anew, or stand unread for too long."""

from __future__ import annotations

from collections.abc import Callable

from joulebox.energy.integrate import clock_s
from joulebox.energy.reader import Device, Mark, ReadError

MOST_WATTS = 1000.0  # of one counter: twice the largest CPU package; tells a wrap-around from a reset
SLACK_JOULES = 10.0  # for two readings in quick succession
SURE_S = 30.0  # no real counter wraps twice within it


class Accumulator:
    """Adds up a counter's steps."""

    def __init__(self, joules_per_unit: float, range_units: int | None, clock: Callable[[], float] = clock_s) -> None:
        """An empty one.

        Args:
            range_units: the counter is taken modulo this; None where it should never fall.
        """
        self._joules_per_unit = joules_per_unit
        self._range_units = range_units
        self._clock = clock
        self._last: tuple[int, float] | None = None
        self._units = 0

    def add(self, value: int) -> float:
        """Adds a reading and gives joules so far.

        Raises:
            ReadError: the counter was reset, or may have wrapped around more than once: what was used since the last
                reading is unknown. The next one begins anew.
        """
        now_s = self._clock()
        last, self._last = self._last, None
        if last is not None:
            self._units += self._step(value - last[0], now_s - last[1])
        self._last = (value, now_s)
        return self._units * self._joules_per_unit

    def mark(self) -> Mark:
        """The last reading, its time, and the units counted so far."""
        return () if self._last is None else (*self._last, self._units)

    def resume(self, mark: Mark) -> None:
        value, at_s, units = mark
        self._last, self._units = (int(value), at_s), int(units)

    def restart(self) -> None:
        """Forgets the last reading: what is used until the next one is unknown."""
        self._last = None

    def _step(self, step: int, elapsed_s: float) -> int:
        if self._range_units is None:
            if step < 0:
                raise ReadError(f"the counter fell by {-step}: it was reset")
            return step
        range_s = self._range_units * self._joules_per_unit / MOST_WATTS
        if elapsed_s > max(SURE_S, range_s):
            raise ReadError(f"not read for {elapsed_s:.0f} s, in which the counter may have wrapped around unseen")
        if step >= 0:
            return step
        wrapped = step + self._range_units
        if not 0 <= wrapped * self._joules_per_unit <= SLACK_JOULES + MOST_WATTS * elapsed_s:
            raise ReadError(f"the counter fell by {-step} in {elapsed_s:.1f} s: it was reset, not wrapped around")
        return wrapped


class CounterMeter:
    """A device that counts its energy."""

    def __init__(
        self,
        device: Device,
        read: Callable[[], int],
        joules_per_unit: float,
        range_units: int | None = None,
        clock: Callable[[], float] = clock_s,
    ) -> None:
        """A meter over `read`, which gives the counter in `device.unit` or raises ReadError; it is read once now.

        Raises:
            ReadError: it cannot be read.
        """
        self.device = device
        self._read = read
        self._count = Accumulator(joules_per_unit, range_units, clock)
        self._count.add(read())

    def joules(self) -> float:
        try:
            value = self._read()
        except ReadError:
            self._count.restart()
            raise
        return self._count.add(value)

    def sample(self) -> float:
        return self._read()

    def mark(self) -> Mark:
        return self._count.mark()

    def resume(self, mark: Mark) -> None:
        self._count.resume(mark)
