"""A model of the host, for where nothing can be measured: idle watts x time + CPU seconds of the server x watts of a busy core.

With idle and maximum watts of a host that is the usual line between the two by utilisation, of which the server's own part is
counted alone: what else ran on the host is not known here. Precise, not accurate, and always labelled `estimated`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from joulebox.energy import cputable
from joulebox.energy.integrate import clock_s
from joulebox.energy.reader import Device, Mark, Unavailable

READER = "estimate"
SETTING = "JOULEBOX_CPU_WATTS"
ASSUMED_WATTS_PER_CORE = (
    3.0  # what one more busy logical core adds: 2 to 5 W on laptops and servers, about 1 W on small boards
)
MOST_WATTS = 10_000.0
OFF = "off"


@dataclass(frozen=True)
class Power:
    """Watts of the host: at rest, where that is known, and what one more busy core adds."""

    watts_per_core: float
    idle_watts: float | None
    origin: str


class EstimateMeter:
    """Counts CPU time, of all workers and threads, at a fixed power."""

    def __init__(
        self, power: Power, threads: int, cpu_s: Callable[[], float], clock: Callable[[], float] = clock_s
    ) -> None:
        idle = "" if power.idle_watts is None else f" + {power.idle_watts:g} W at rest"
        self.device = Device(
            "cpu",
            READER,
            "estimated",
            f"{power.origin} {power.watts_per_core:g} W per busy core x the server's CPU seconds{idle}",
            busy_watts=power.watts_per_core * threads,
            idle_watts=power.idle_watts,
            kind="model",
            unit="s",
            domain="cpu",
        )
        self._power = power
        self._cpu_s = cpu_s
        self._clock = clock
        self._start_cpu_s = self._most_cpu_s = cpu_s()
        self._start_s = clock()

    def joules(self) -> float:
        self._most_cpu_s = max(self._most_cpu_s, self._cpu_s())  # a worker that ends takes nothing back
        busy_joules = (self._most_cpu_s - self._start_cpu_s) * self._power.watts_per_core
        return busy_joules + (self._power.idle_watts or 0.0) * (self._clock() - self._start_s)

    def sample(self) -> float:
        return self._cpu_s()

    def mark(self) -> Mark:
        return self._start_cpu_s, self._most_cpu_s, self._start_s

    def resume(self, mark: Mark) -> None:
        self._start_cpu_s, self._most_cpu_s, self._start_s = mark


def probe(
    setting: str | None,
    threads: int,
    cpu_s: Callable[[], float],
    procfs: Path = Path("/proc"),
    cores: int | None = None,
) -> EstimateMeter | Unavailable:
    """The estimate as `JOULEBOX_CPU_WATTS` sets it; else by the table of known CPUs, else at an assumed figure.

    Args:
        setting: watts per busy core (`4.5`), the host's idle and maximum watts (`12:65`), or `off`.
        threads: how many cores a busy model keeps busy.
        cpu_s: the CPU seconds used so far.
        cores: of the host, logical ones; found out where not given.

    Raises:
        ValueError: the setting is none of these.
    """
    if setting == OFF:
        return Unavailable(READER, f"switched off by {SETTING}=off")
    cores = cores or os.cpu_count() or 1
    power = _configured(setting, cores) if setting else _known(procfs, cores)
    return EstimateMeter(power, threads, cpu_s)


def check(setting: str | None) -> None:
    """Refuses a setting that `probe` would refuse.

    Raises:
        ValueError: it says what was expected.
    """
    if setting and setting != OFF:
        _configured(setting, 1)


def _configured(setting: str, cores: int) -> Power:
    idle, colon, most = setting.partition(":")
    try:
        watts = [float(idle), float(most)] if colon else [float(idle)]
    except ValueError:
        watts = [-1.0]
    if not colon and 0 < watts[0] < 1000:
        return Power(watts[0], None, "configured")
    if len(watts) == 2 and 0 <= watts[0] < watts[1] < MOST_WATTS:
        return Power((watts[1] - watts[0]) / cores, watts[0], f"configured {setting} W over {cores} cores:")
    raise ValueError(
        f"{SETTING}={setting!r}: expected watts per busy core, such as 4.5, "
        "the host's watts idle and fully busy, such as 12:65, or `off`"
    )


def _known(procfs: Path, cores: int) -> Power:
    cpu = cputable.find(procfs / "cpuinfo")
    if cpu is None:
        return Power(ASSUMED_WATTS_PER_CORE, None, "assumed")
    origin = f"{cpu.name} server CPU (SPECpower results of 2026-03-09, {cores} threads):"
    return Power(round(cpu.max_watts - cpu.idle_watts, 2), round(cpu.idle_watts * cores, 2), origin)
