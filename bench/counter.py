"""An energy counter that moves, as files: a process of its own writes them, so that no server that is measured pays for it.

Run as `python counter.py FOLDER`, which stands for /sys: one RAPL package of 40 W, updated every five milliseconds.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ZONE = "class/powercap/intel-rapl:0"
TICK_S = 0.005
WATTS = 40
RANGE_UJ = 262_143_328_850
DIGITS = 12  # always as many, so that no reader sees half a number


def lay(sysfs: Path) -> Path:
    """The zone's files; gives the one that moves."""
    zone = sysfs / ZONE
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    counter = zone / "energy_uj"
    counter.write_text(f"{0:0{DIGITS}}\n")
    return counter


def move(counter: Path) -> None:
    """Until the process is ended."""
    file = os.open(counter, os.O_WRONLY)
    begin_s = time.monotonic()
    while True:
        energy_uj = int((time.monotonic() - begin_s) * WATTS * 1e6) % RANGE_UJ
        os.pwrite(file, f"{energy_uj:0{DIGITS}}\n".encode(), 0)
        time.sleep(TICK_S)


if __name__ == "__main__":
    move(lay(Path(sys.argv[1])))
