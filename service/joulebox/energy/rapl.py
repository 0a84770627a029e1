"""Intel and AMD package energy through the Linux powercap interface.

`/sys/class/powercap/intel-rapl:N/{name,energy_uj,max_energy_range_uj}`, in microjoules, as
https://docs.kernel.org/power/powercap/powercap.html describes it. Only packages are read: `psys` contains them and
`core`, `uncore` and `dram` are inside or beside them, so that adding domains up would count joules twice.
"""

from __future__ import annotations

from pathlib import Path

from joulebox.energy.reader import Device, Meter, Probe, ReadError, Unavailable

READER = "rapl"


class RaplMeter:
    """A package's counter, which starts again at 0 after `max_energy_range_uj`."""

    def __init__(self, zone: Path, index: int) -> None:
        self.device = Device(f"cpu-package-{index}", READER, "measured", str(zone / "energy_uj"))
        self._counter = zone / "energy_uj"
        self._range_uj = int((zone / "max_energy_range_uj").read_text())
        self._last_uj = self._read_uj()
        self._total_uj = 0

    def joules(self) -> float:
        now_uj = self._read_uj()
        step_uj = now_uj - self._last_uj
        self._total_uj += step_uj if step_uj >= 0 else step_uj + self._range_uj
        self._last_uj = now_uj
        return self._total_uj / 1e6

    def _read_uj(self) -> int:
        try:
            return int(self._counter.read_text())
        except (OSError, ValueError) as error:
            raise ReadError(f"{self._counter}: {error}") from error


def probe(sysfs: Path) -> Probe:
    """The packages under `sysfs` (normally `/sys`) that can be read."""
    root = sysfs / "class/powercap"
    zones = sorted(zone for zone in root.glob("intel-rapl:*") if zone.name.count(":") == 1)
    if not zones:
        return Unavailable(
            READER, f"{root} has no intel-rapl zone: no such counter, a virtual machine, or masked in a container"
        )
    meters: list[Meter] = []
    reason = "no package domain"
    for zone in zones:
        try:
            if (zone / "name").read_text().startswith("package"):
                meters.append(RaplMeter(zone, len(meters)))
        except PermissionError:
            reason = f"{zone}/energy_uj is readable by root alone: run as root or grant read access to it"
        except (OSError, ValueError, ReadError) as error:
            reason = str(error)
            if isinstance(error.__cause__, PermissionError):
                reason = f"{zone}/energy_uj is readable by root alone: run as root or grant read access to it"
    return meters or Unavailable(READER, reason)
