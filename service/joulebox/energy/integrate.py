"""Energy from samples of power: the trapezoid between two samples, and nothing across a gap."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from joulebox.energy.reader import Device, Mark, ReadError

GAP_S = 2.0  # eight of the sampler's intervals; what happened in a longer one is not known, and not invented


def clock_s() -> float:
    """Seconds of the clock that goes on while the host is suspended, so that a suspension shows as a gap."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux alone has it
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class Integral:
    """Joules under samples of watts."""

    def __init__(self, gap_s: float = GAP_S) -> None:
        self._gap_s = gap_s
        self._joules = 0.0
        self._last: tuple[float, float] | None = None

    def add(self, watts: float, at_s: float) -> float:
        """Adds a sample and gives joules so far.

        Raises:
            ReadError: the last sample is further back than the gap allowed, or this one is no power: what was used
                since is unknown. The next sample begins anew.
        """
        last, self._last = self._last, None
        if not math.isfinite(watts):
            raise ReadError(f"{watts} W is no power")
        watts = max(0.0, watts)  # an offset of the amplifier may show a resting rail as slightly negative
        if last is not None:
            elapsed_s = at_s - last[1]
            if not 0 <= elapsed_s <= self._gap_s:
                raise ReadError(f"no power sample for {elapsed_s:.1f} s, at most {self._gap_s:g} s can be bridged")
            self._joules += (watts + last[0]) / 2 * elapsed_s
        self._last = (watts, at_s)
        return self._joules

    def mark(self) -> Mark:
        """The last sample, its time, and joules so far."""
        return () if self._last is None else (*self._last, self._joules)

    def resume(self, mark: Mark) -> None:
        watts, at_s, self._joules = mark
        self._last = (watts, at_s)

    def restart(self) -> None:
        """Forgets the last sample: what is used until the next one is unknown."""
        self._last = None


class PowerMeter:
    """A device that says its power: sampled whenever it is asked for joules."""

    def __init__(
        self,
        device: Device,
        sample: Callable[[], float],
        watts_per_unit: float,
        clock: Callable[[], float] = clock_s,
    ) -> None:
        """A meter over `sample`, which gives power in `device.unit` or raises ReadError."""
        self.device = device
        self.sample = sample
        self._watts_per_unit = watts_per_unit
        self._clock = clock
        self._integral = Integral()

    def joules(self) -> float:
        try:
            watts = self.sample() * self._watts_per_unit
        except ReadError:
            self._integral.restart()
            raise
        return self._integral.add(watts, self._clock())

    def mark(self) -> Mark:
        return self._integral.mark()

    def resume(self, mark: Mark) -> None:
        self._integral.resume(mark)


class BackgroundPowerMeter:
    """A device whose power takes so long to ask for (a process) that a thread of its own does it, at a steady pace.

    The thread begins with the first question for joules, and ends once nobody has asked for a while.
    """

    PERIOD_S = 0.5
    UNASKED_S = 150.0  # longer than any back-off between two questions

    def __init__(self, device: Device, sample: Callable[[], float], clock: Callable[[], float] = clock_s) -> None:
        """A meter over `sample`, which gives watts or raises ReadError."""
        self.device = device
        self.sample = sample
        self._clock = clock
        self._integral = Integral()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._state: float | ReadError = 0.0
        self._state_at_s = self._asked_at_s = 0.0

    def joules(self) -> float:
        with self._lock:
            now_s = self._asked_at_s = self._clock()
            if self._thread is None:
                self._integral.restart()
                self._state, self._state_at_s = self._settled(), now_s  # once, the caller waits for a sample
                self._thread = threading.Thread(target=self._run, name=f"joulebox-{self.device.name}", daemon=True)
                self._thread.start()
            if isinstance(self._state, ReadError):
                raise ReadError(str(self._state)) from self._state
            if now_s - self._state_at_s > GAP_S:
                raise ReadError(f"no power sample for {now_s - self._state_at_s:.1f} s")
            return self._state

    def mark(self) -> Mark:
        return ()  # its thread has the newest sample, and nobody asks for it at the end

    def resume(self, mark: Mark) -> None:
        raise NotImplementedError("it has no mark")

    def _run(self) -> None:
        while True:
            time.sleep(self.PERIOD_S)
            state = self._settled()
            with self._lock:
                self._state, self._state_at_s = state, self._clock()
                if self._state_at_s - self._asked_at_s > self.UNASKED_S:
                    self._thread = None
                    return

    def _settled(self) -> float | ReadError:
        try:
            return self._integral.add(self.sample(), self._clock())
        except ReadError as error:
            self._integral.restart()
            return error
