"""The host's energy sources: measured where that is possible, else estimated, else none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from joulebox.energy import estimate, rapl
from joulebox.energy.reader import Meter, Unavailable


@dataclass(frozen=True)
class Sources:
    """What was found, and for each reader that found nothing, why."""

    meters: tuple[Meter, ...]
    unavailable: tuple[Unavailable, ...]


def open_sources(
    environment: Mapping[str, str], *, threads: int = 1, cpu_s: Callable[[], float] = time.process_time
) -> Sources:
    """Probes `JOULEBOX_SYSFS` (default `/sys`), and estimates only where nothing there measures.

    Args:
        threads: how many cores a busy model keeps busy, for the estimate.
        cpu_s: the CPU seconds used so far, likewise; of this process where nothing else is given.

    Raises:
        ValueError: a setting is not what it should be.
    """
    found = rapl.probe(Path(environment.get("JOULEBOX_SYSFS") or "/sys"))
    if not isinstance(found, Unavailable):
        return Sources(tuple(found), ())
    estimated = estimate.probe(environment.get("JOULEBOX_CPU_WATTS"), max(1, threads), cpu_s)
    if isinstance(estimated, Unavailable):
        return Sources((), (found, estimated))
    return Sources(tuple(estimated), (found,))
