"""A CPU package that uses 20 W at rest and so many more while each model of a server computes, as /sys shows it.

It is a process of its own, so that its ticks come in time: `python rapl.py SYSFS`. It sees what computes in the workers' records,
as hardware would feel it, in the run folder that the link `SYSFS/run` leads to.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joulebox.runtime.shared_work import SharedWork

IDLE_WATTS, WATTS = 20.0, {"big": 60.0, "small": 25.0}
TICK_S, STEP_S = 0.1, 0.005
ZONE, RUN = "class/powercap/intel-rapl:0", "run"


@contextmanager
def package(sysfs: Path) -> Iterator[Path]:
    """Runs it, and gives its counter's file."""
    zone = sysfs / ZONE
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    (zone / "energy_uj").write_text("10000000\n")
    process = subprocess.Popen([sys.executable, __file__, sysfs])
    try:
        yield zone / "energy_uj"
    finally:
        process.kill()
        process.wait()


def main(sysfs: Path) -> None:
    counter, aside = sysfs / ZONE / "energy_uj", sysfs / ZONE / "energy_uj.new"
    work = SharedWork(sysfs / RUN)
    joules, busy_s = int(counter.read_text()) / 1e6, dict[str, float]()
    at_s = time.perf_counter()
    tick_s = at_s + TICK_S
    while True:
        time.sleep(max(0.0, min(STEP_S, tick_s - time.perf_counter())))
        before_s, at_s = at_s, time.perf_counter()
        joules += IDLE_WATTS * (at_s - before_s)
        for (name, _), done in work.read(at_s).items():
            joules += WATTS[name] * max(0.0, done.busy_s - busy_s.get(name, done.busy_s))
            busy_s[name] = done.busy_s
        if at_s >= tick_s:
            tick_s += TICK_S
            aside.write_text(f"{round(joules * 1e6)}\n")
            aside.replace(counter)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
