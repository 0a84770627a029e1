"""A model of the host, for where nothing can be measured: CPU seconds of the server x watts of a busy core.

Precise, not accurate, and always labelled `estimated`. It knows nothing of idle power.
"""

from __future__ import annotations

from collections.abc import Callable

from joulebox.energy.reader import Device, Probe, Unavailable

READER = "estimate"
ASSUMED_WATTS_PER_CORE = (
    3.0  # what one more busy logical core adds: 2 to 5 W on laptops and servers, about 1 W on small boards
)
OFF = "off"


class EstimateMeter:
    """Counts CPU time, of all workers and threads, at a fixed power."""

    def __init__(self, watts_per_core: float, origin: str, threads: int, cpu_s: Callable[[], float]) -> None:
        note = f"{origin} {watts_per_core:g} W per busy core x the server's CPU seconds"
        self.device = Device("cpu", READER, "estimated", note, busy_watts=watts_per_core * threads)
        self._watts_per_core = watts_per_core
        self._cpu_s = cpu_s
        self._start_s = cpu_s()

    def joules(self) -> float:
        return (self._cpu_s() - self._start_s) * self._watts_per_core


def probe(setting: str | None, threads: int, cpu_s: Callable[[], float]) -> Probe:
    """The estimate as `JOULEBOX_CPU_WATTS` sets it: watts per busy core, `off`, or an assumed figure where it is unset.

    Args:
        threads: how many cores a busy model keeps busy.
        cpu_s: the CPU seconds used so far.

    Raises:
        ValueError: the setting is neither a positive number nor `off`.
    """
    if setting == OFF:
        return Unavailable(READER, "switched off by JOULEBOX_CPU_WATTS=off")
    if not setting:
        return [EstimateMeter(ASSUMED_WATTS_PER_CORE, "assumed", threads, cpu_s)]
    try:
        watts = float(setting)
    except ValueError:
        watts = 0.0
    if not 0 < watts < 1000:
        raise ValueError(f"JOULEBOX_CPU_WATTS={setting!r}: expected watts per busy core, such as 4.5, or `off`")
    return [EstimateMeter(watts, "configured", threads, cpu_s)]
