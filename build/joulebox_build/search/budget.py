"""How long, or with how many joules, a process searches."""

from __future__ import annotations

import threading
import time

from joulebox.energy import Sources
from joulebox_build.errors import BuildError
from joulebox_build.judge.cost import energy_sources
from joulebox_build.spending import Readings


class Budget:
    """Seconds and joules from now on; what is None is not limited.

    Raises:
        BuildError: joules are limited, and nothing on this host says them.
    """

    def __init__(self, time_s: float | None, energy_joules: float | None) -> None:
        self._end_s = None if time_s is None else time.monotonic() + time_s
        self._limit_joules = energy_joules
        sources = energy_sources() if energy_joules is not None else Sources((), ())
        self._meters, self._readings = sources.meters, Readings(sources.meters, threading.Lock())
        if energy_joules is None:
            return
        if not self._meters:
            why = "; ".join(f"{missing.reader}: {missing.reason}" for missing in sources.unavailable)
            raise BuildError(
                f"--energy-budget {energy_joules:g}: nothing on this host says joules ({why}); use --time-budget"
            )
        self._readings.look()
        follow = threading.Thread(target=self._readings.follow, args=(threading.Event(),), name="budget", daemon=True)
        follow.start()  # until the process ends

    def spent(self) -> str | None:
        """Why the search has to end, or None. Joules are of all devices that count; an estimate is of this process alone."""
        if self._end_s is not None and time.monotonic() >= self._end_s:
            return "the time budget is used up"
        if self._limit_joules is None:
            return None
        self._readings.look()
        used = self._readings.joules
        if used is None:
            return f"whether the energy budget is used up is unknown: {self._readings.lost}; use --time-budget"
        if used < self._limit_joules:
            return None
        named = ", ".join(f"{meter.device.name} ({meter.device.source})" for meter in self._meters)
        return f"the energy budget is used up: {used:.0f} J by {named}"
