"""How long, or with how many joules, a process searches."""

from __future__ import annotations

import time
from collections.abc import Sequence

from joulebox.energy.reader import Meter, ReadError
from joulebox_build.errors import BuildError
from joulebox_build.judge.cost import energy_sources


class Budget:
    """Seconds and joules from now on; what is None is not limited.

    Raises:
        BuildError: joules are limited, and nothing on this host says them.
    """

    def __init__(self, time_s: float | None, energy_joules: float | None) -> None:
        self._end_s = None if time_s is None else time.monotonic() + time_s
        self._limit_joules = energy_joules
        self._meters: Sequence[Meter] = ()
        if energy_joules is not None:
            sources = energy_sources()
            self._meters = sources.meters
            if not self._meters:
                why = "; ".join(f"{missing.reader}: {missing.reason}" for missing in sources.unavailable)
                raise BuildError(
                    f"--energy-budget {energy_joules:g}: nothing on this host says joules ({why}); use --time-budget"
                )
            self._from_joules = self._joules()

    def spent(self) -> str | None:
        """Why the search has to end, or None."""
        if self._end_s is not None and time.monotonic() >= self._end_s:
            return "the time budget is used up"
        if self._limit_joules is None:
            return None
        used = self._joules() - self._from_joules
        if used < self._limit_joules:
            return None
        named = ", ".join(f"{meter.device.name} ({meter.device.source})" for meter in self._meters)
        return f"the energy budget is used up: {used:.0f} J by {named}"

    def _joules(self) -> float:
        """Of all devices that count, whoever uses them.

        Raises:
            BuildError: a counter cannot be read.
        """
        try:
            return sum(meter.joules() for meter in self._meters)
        except ReadError as error:
            raise BuildError(f"--energy-budget: {error}; use --time-budget") from error
