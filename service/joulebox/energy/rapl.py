"""Intel and AMD CPU energy through the Linux powercap interface, in microjoules.

`/sys/class/powercap/intel-rapl:N[:M]/{name,energy_uj,max_energy_range_uj}`, as
https://docs.kernel.org/power/powercap/powercap.html describes it and drivers/powercap/intel_rapl_common.c makes it, for
AMD's families 17h and later too. The names are that driver's: `package-N` or `package-N-die-M`, `core` and `uncore` within
it, `dram` beside it, and `psys`, which contains the packages. `intel-rapl-mmio:N` is the same package by another way.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from joulebox.energy.counter import CounterMeter
from joulebox.energy.reader import Device, Domain, Gauge, Probe, ReadError, Unavailable
from joulebox.energy.sysfs import is_denied, listing, read_int, read_text

READER = "rapl"
MOST_ZONES = 64
PARTS = ("core", "uncore")
MASKED = "masked in this container: mount the host's /sys elsewhere and say so, as `-v /sys:/host/sys:ro` and JOULEBOX_SYSFS=/host/sys"


def probe(sysfs: Path) -> Probe:
    """The zones under `sysfs` (normally `/sys`) that can be read."""
    root = sysfs / "class/powercap"
    zones = listing(root, "intel-rapl:*")[:MOST_ZONES]
    if not zones:
        return Unavailable(
            READER, f"{root} has no intel-rapl zone: no such counter, a virtual machine, or masked in a container"
        )
    meters: list[Gauge] = []
    reasons: list[str] = []
    packages: dict[str, str] = {}
    for zone in zones:
        try:
            meter = _meter(zone, packages)
        except ReadError as error:
            reasons.append(_reason(zone, error))
        else:
            meters += [] if meter is None else [meter]
    return meters or Unavailable(READER, reasons[0] if reasons else f"{root} has no zone that is known")


def _meter(zone: Path, packages: dict[str, str]) -> Gauge | None:
    """A zone's meter; None for a second way to the same package, and for a zone that is not known.

    Args:
        packages: the names of the packages so far by the N of their zone; it grows by this one.
    """
    label = read_text(zone / "name")
    above, _, child = zone.name.removeprefix("intel-rapl:").partition(":")
    if child:
        return _child(zone, label, list(packages).index(above)) if above in packages else None
    if label == "psys":
        return _open(zone, "psys", "system", None)
    if not label.startswith("package") or label in packages.values():
        return None
    meter = _open(zone, f"cpu-package-{len(packages)}", "cpu", None)
    packages[above] = label
    return meter


def _child(zone: Path, label: str, number: int) -> Gauge | None:
    if label == "dram":
        return _open(zone, f"dram-{number}", "memory", None)
    if label in PARTS:
        return _open(zone, f"cpu-{label}-{number}", "part", f"cpu-package-{number}")
    return None


def _open(zone: Path, name: str, domain: Domain, within: str | None) -> Gauge:
    counter = zone / "energy_uj"
    device = Device(name, READER, "measured", str(counter), unit="uJ", domain=domain, within=within)
    range_uj = read_int(zone / "max_energy_range_uj")
    if range_uj <= 0:
        raise ReadError(f"{zone}/max_energy_range_uj: {range_uj}, expected a positive number")
    return CounterMeter(device, partial(read_int, counter), 1e-6, range_uj)


def _reason(zone: Path, error: ReadError) -> str:
    if is_denied(error):
        return f"{zone}/energy_uj is readable by root alone: run as root or grant read access to it"
    if isinstance(error.__cause__, FileNotFoundError) and not zone.exists():
        return f"{zone} leads nowhere: {MASKED}"
    return str(error)
