"""A host laid on disk: a RAPL counter that a thread moves, by a truth that is known, and what `/proc` says.

`environment` is what a command or a server needs to take it for its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RANGE_UJ = 262_143_328_850
CPU_WATTS = 5.0  # of a busy core


def by_cpu() -> float:
    """Joules so far of what this process computes."""
    return CPU_WATTS * time.process_time()


class LaidHost:
    """It uses power while it runs."""

    def __init__(
        self,
        folder: Path,
        *,
        idle_watts: float = 10.0,
        dynamic_joules: Callable[[], float] = by_cpu,
        tick_s: float = 0.004,
        others_busy: float = 0.01,
    ) -> None:
        self.zone = folder / "sys/class/powercap/intel-rapl:0"
        self.state = folder / "state"
        self.environment = {
            "JOULEBOX_SYSFS": str(folder / "sys"),
            "JOULEBOX_PROCFS": str(folder / "proc"),
            "JOULEBOX_STATE": str(self.state),
            "JOULEBOX_ENERGY_OFF": "nvml,pi",
        }
        self._idle_watts, self._dynamic_joules = idle_watts, dynamic_joules
        self._tick_s, self._others_busy = tick_s, others_busy
        self.zone.mkdir(parents=True)
        (folder / "proc").mkdir()
        for name, content in (("name", "package-0"), ("max_energy_range_uj", RANGE_UJ)):
            (self.zone / name).write_text(f"{content}\n")
        (folder / "proc/cpuinfo").write_text("model name\t: Laid CPU\n")
        (folder / "proc/meminfo").write_text("MemTotal:        8046924 kB\n")
        self._files = [
            os.open(path, os.O_RDWR | os.O_CREAT) for path in (self.zone / "energy_uj", folder / "proc/stat")
        ]
        self._begun_s = time.perf_counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._show()

    @contextmanager
    def running(self) -> Iterator[LaidHost]:
        """Its time passes."""
        self._thread.start()
        try:
            yield self
        finally:
            self._end.set()
            self._thread.join()
            for file in self._files:
                os.close(file)

    def _run(self) -> None:
        while not self._end.wait(self._tick_s):
            self._show()

    def _show(self) -> None:
        """Each file in one write of the same length, so that a reader never sees half of one."""
        passed_s = time.perf_counter() - self._begun_s
        microjoules = round(1e6 * (self._idle_watts * passed_s + self._dynamic_joules()))
        ticks = 200 * passed_s
        busy = round(ticks * self._others_busy)
        os.pwrite(self._files[0], b"%015d\n" % microjoules, 0)
        os.pwrite(self._files[1], b"cpu  %012d 0 0 %012d 0 0 0 0 0 0\n" % (busy, round(ticks) - busy), 0)
