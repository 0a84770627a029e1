"""A counter with its ledger: when to ask it, and what becomes of a reading or of a failure to read."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from joulebox.energy import Booking, Device, Idle, Key, Ledger, Mark, Meter, ReadError, Work
from joulebox.runtime.pace import Pace

SAME = ("reader", "source", "kind", "unit", "note")  # of a device that another process found

Reading = float | ReadError
"""A meter's joules, or why there are none."""

log = logging.getLogger("joulebox.energy")

SLOW_S = 0.5e-3  # a reading that takes longer,
SLOW_READS = 5  # so many times in a row, is done in a thread and at leisure from then on
ASSUMED_ERROR = 0.05  # of an estimate's idle power
BACKOFF_S, BACKOFF_MAX_S = 1.0, 60.0  # between two tries to read what could not be read


@dataclass(frozen=True)
class Kept:
    """What a book needs to go on in another process."""

    device: Device
    mark: Mark
    ledger: Ledger
    pace: Pace


class Book:
    """One device's meter, ledger and pace."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        device = meter.device
        # An estimate is continuous; a reader that knows its counter's tick says so.
        tick_s = 0.0 if device.source == "estimated" else device.tick_s
        self.ledger = Ledger(busy_watts=device.busy_watts, tick_s=tick_s, calibration=_given_idle(device))
        self.pace = Pace(tick_s)
        self.slow = False
        """Whether reading it would hold up an event loop."""
        self._slow_reads = 0  # in a row
        self._readable = True
        self._next_try_s = 0.0
        self._backoff_s = BACKOFF_S

    @property
    def kept(self) -> Kept:
        """Where it stands. Only between an `enter` and the next `read`."""
        return Kept(self.meter.device, self.meter.mark(), self.ledger, self.pace)

    def go_on(self, kept: Kept, now_s: float) -> bool:
        """Goes on from another process's book, unless that was of another device; says whether it does.

        Where the meter cannot go on, what was used since is unknown.
        """
        device = self.meter.device
        if any(getattr(device, each) != getattr(kept.device, each) for each in SAME):
            return False
        self.ledger, self.pace = kept.ledger, kept.pace
        if kept.mark:
            self.meter.resume(kept.mark)
            self.ledger.hand_over()
        else:
            self.ledger.feed(now_s, None, {})
        return True

    def due(self, now_s: float, *, leisurely: bool) -> bool:
        """Whether to ask now; a counter that is not waited for may be asked at any time."""
        if now_s < self._next_try_s:
            return False
        return now_s >= self.pace.next_s or (leisurely and not self.pace.waits(now_s))

    @property
    def next_s(self) -> float:
        return max(self.pace.next_s, self._next_try_s)

    def read(self) -> Reading:
        """Asks the meter; in any thread."""
        begun_s = time.perf_counter()
        try:
            return self.meter.joules()
        except ReadError as error:
            return error
        finally:
            slow = time.perf_counter() - begun_s > SLOW_S
            self._slow_reads = self._slow_reads + 1 if slow else 0

    def enter(self, now_s: float, reading: Reading, work: Mapping[Key, Work], *, suspended: bool) -> Booking | None:
        """Books what was used since the last change; after a failed reading, that is unknown and starts anew.

        Args:
            now_s: when it was read, on the clock of `time.perf_counter`.
            work: of each loaded model so far.
            suspended: the host slept since the last reading.
        """
        if suspended:
            self.ledger.feed(now_s, None, work)
        if isinstance(reading, ReadError):
            if self._readable:
                name = self.meter.device.name
                log.warning("%s cannot be read, its energy is unknown until it can: %s", name, reading)
            self._readable = False
            self.ledger.feed(now_s, None, work)
            self._next_try_s, self._backoff_s = now_s + self._backoff_s, min(BACKOFF_MAX_S, 2 * self._backoff_s)
            return None
        self._readable, self._backoff_s = True, BACKOFF_S
        if self._slow_reads == SLOW_READS:
            self.slow, self.pace = True, Pace(None)
        booking = self.ledger.feed(now_s, reading, work, hold=self.pace.holds)
        self.pace.asked(now_s, changed=booking is not None)
        return booking


def _given_idle(device: Device) -> Idle | None:
    """What an estimate assumes, else what was measured on purpose."""
    if device.idle_watts is None:
        return device.calibration
    return Idle(device.idle_watts, ASSUMED_ERROR * device.idle_watts, "calibration")
