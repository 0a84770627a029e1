"""How busy other processes keep this host's cores, by `/proc/stat`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

IDLE, IOWAIT, COLUMNS = 3, 4, 8  # of the columns in `man 5 proc_stat`; guests' time is in their host's


class Utilisation:
    """The part of all cores' time, since this was made, that went to other processes than this one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._file = Path(environment.get("JOULEBOX_PROCFS") or "/proc") / "stat"
        self._before, self._own_s = self._ticks(), time.process_time()

    def others(self) -> float | None:
        """From 0 to 1; None where the host does not say."""
        before, after = self._before, self._ticks()
        if before is None or after is None:
            return None
        passed = [later - earlier for earlier, later in zip(before, after, strict=True)]
        total = sum(passed)
        if total <= 0:
            return None
        own = (time.process_time() - self._own_s) * os.sysconf("SC_CLK_TCK")
        return min(1.0, max(0.0, (total - passed[IDLE] - passed[IOWAIT] - own) / total))

    def _ticks(self) -> list[int] | None:
        try:
            with self._file.open() as file:
                name, *columns = file.readline().split()
            ticks = [int(column) for column in columns[:COLUMNS]]
        except (OSError, ValueError):
            return None
        return ticks if name == "cpu" and len(ticks) == COLUMNS else None
