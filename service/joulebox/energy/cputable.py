"""Watts of known server CPUs, idle and fully busy, for an estimate where nothing can be measured.

Cloud Carbon Footprint's coefficients (github.com/cloud-carbon-footprint/ccf-coefficients, output/coefficients-aws-use.csv at
b0032d9, Apache-2.0), made from the SPECpower_ssj2008 results of 2026-03-09: what a whole server draws at the wall, idle and
at full load, by its hardware threads, as the mean over the servers with such a CPU. Rounded to 0.01 W. Its line for EPYC 5
(3.7 and 9.0 W) is four times that of EPYC 4 and is left out. Models: arch/x86/include/asm/intel-family.h, and AMD's
family 17h and 19h as arch/x86/kernel/cpu/amd.c tells Zen generations apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

MOST_LINES = 64  # of /proc/cpuinfo: the first processor is described in about thirty


@dataclass(frozen=True)
class CpuPower:
    """Watts of one hardware thread's share of a server."""

    name: str
    idle_watts: float
    max_watts: float


_INTEL = {
    45: CpuPower("Sandy Bridge", 2.21, 8.63),
    62: CpuPower("Ivy Bridge", 1.71, 5.56),
    63: CpuPower("Haswell", 1.86, 5.60),
    79: CpuPower("Broadwell", 0.71, 3.69),
    106: CpuPower("Ice Lake", 0.77, 3.76),
    143: CpuPower("Sapphire Rapids", 1.04, 4.16),
    173: CpuPower("Granite Rapids", 0.58, 2.53),
    207: CpuPower("Emerald Rapids", 0.81, 4.48),
}
_SKYLAKE, _CASCADE_LAKE = CpuPower("Skylake", 0.61, 4.10), CpuPower("Cascade Lake", 0.69, 4.06)
_EPYC = {
    (23, 1): CpuPower("EPYC 1", 0.85, 2.60),
    (23, 49): CpuPower("EPYC 2", 0.47, 1.69),
    (25, 1): CpuPower("EPYC 3", 0.46, 1.96),
    (25, 17): CpuPower("EPYC 4", 0.74, 2.28),
    (25, 160): CpuPower("EPYC 4", 0.74, 2.28),
}


def find(cpuinfo: Path) -> CpuPower | None:
    """The CPU that `/proc/cpuinfo` describes; None where it is not in the table or not there."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in islice(file, MOST_LINES)]
    except OSError:
        return None
    says: dict[str, str] = {}
    for key, _, value in lines:
        says.setdefault(key.strip(), value.strip())
    try:
        family, model = int(says["cpu family"]), int(says["model"])
        stepping = int(says.get("stepping", "0"))
    except (KeyError, ValueError):
        return None  # not x86
    brand = says.get("model name", "")
    if "Xeon" in brand and family == 6:
        return _skylake(stepping) if model == 85 else _INTEL.get(model)
    return _EPYC.get((family, model)) if "EPYC" in brand else None


def _skylake(stepping: int) -> CpuPower | None:
    """Three generations have model 85; of Cooper Lake (steppings 10 and 11) the table has nothing."""
    if stepping <= 4:
        return _SKYLAKE
    return _CASCADE_LAKE if stepping <= 7 else None
