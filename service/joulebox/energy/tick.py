"""How often what a device says changes: watched for a moment at start, in a thread, never on the event loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from joulebox.energy.reader import Gauge, ReadError

LIMIT_S = 1.0
PAUSE_S = 0.0002  # a fifth of RAPL's millisecond
ENOUGH = 32  # changes of one device
FEWEST = 3  # changes: two gaps, below which a tick is a guess


class _Watch:
    """One device's changes."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._value: float | None = None
        self._changes_s: list[float] = []
        self.done = False

    def look(self, clock: Callable[[], float]) -> None:
        try:
            value = self._gauge.sample()
        except ReadError:
            self.done = True  # what fails now is not watched on
            return
        if self._value is not None and value != self._value:
            self._changes_s.append(clock())
            self.done = len(self._changes_s) >= ENOUGH
        self._value = value

    @property
    def tick_s(self) -> float | None:
        if len(self._changes_s) < FEWEST:
            return None
        gaps = [later - earlier for earlier, later in zip(self._changes_s, self._changes_s[1:], strict=False)]
        return statistics.median(gaps)


def measure(
    gauges: Sequence[Gauge],
    limit_s: float = LIMIT_S,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[float | None]:
    """Each device's tick in seconds: the median time between two changes of what it says.

    It is never finer than how often the device can be asked, which for a slow bus is its own tick. Two equal samples of
    power in a row look like one, so that for power it is an upper bound. None: fewer than three changes were seen.

    Args:
        limit_s: it ends by then, whatever was seen.
    """
    watches = [_Watch(gauge) for gauge in gauges]
    end_s = clock() + limit_s
    while clock() < end_s and not all(watch.done for watch in watches):
        for watch in watches:
            if not watch.done:
                watch.look(clock)
        sleep(PAUSE_S)
    return [watch.tick_s for watch in watches]
