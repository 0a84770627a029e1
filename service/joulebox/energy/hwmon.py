"""Chips of the kernel's hwmon class that measure energy (uJ) or power (uW) of something that is known.

`/sys/class/hwmon/hwmonN/{name,energyM_input,powerM_average,powerM_input}`, as
https://docs.kernel.org/hwmon/sysfs-interface.html defines them. What a chip measures only its driver says, so that they
are read from a short table; what other readers cover (the monitors of Jetson boards, RAPL) is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from joulebox.energy.counter import CounterMeter
from joulebox.energy.integrate import PowerMeter
from joulebox.energy.reader import Device, Domain, Gauge, Probe, ReadError, Unavailable
from joulebox.energy.sysfs import is_denied, listing, read_int, text_of

READER = "hwmon"
MOST_CHIPS = 64
MOST_DEVICES = 16
MONITORS = ("ina219", "ina220", "ina226", "ina228", "ina230", "ina231", "ina234", "ina237", "ina238", "ina260")


@dataclass(frozen=True)
class Chip:
    """What a driver's chip measures, in which files (the first that is there), and where that is said."""

    domain: Domain
    files: tuple[str, ...]
    what: str
    label: str = ""
    """How the channel's label has to begin."""


CHIPS = {
    # drivers/gpu/drm/amd/pm/amdgpu_pm.c: the average where the GPU has one, else the instant
    "amdgpu": Chip("gpu", ("power1_average", "power1_input"), "AMD GPU, socket power"),
    # drivers/gpu/drm/i915/i915_hwmon.c, drivers/gpu/drm/xe/xe_hwmon.c: channel 1 is the card; discrete cards alone
    "i915": Chip("gpu", ("energy1_input",), "Intel GPU, card"),
    "xe": Chip("gpu", ("energy1_input",), "Intel GPU, card"),
    # drivers/hwmon/amd_energy.c (until Linux 5.12): sockets after cores, which lie within them
    "amd_energy": Chip("cpu", ("energy*_input",), "AMD socket", "Esocket"),
    # drivers/acpi/acpi_power_meter.c: what the server's supplies draw
    "power_meter": Chip("system", ("power1_average",), "ACPI power meter"),
    # drivers/hwmon/corsair-psu.c: channel 1 is the total
    "corsairpsu": Chip("system", ("power1_input",), "power supply, total"),
    # drivers/hwmon/ina2xx.c, ina238.c: one channel, wherever the board's maker put it
    **{name: Chip("system", ("power1_input",), "power monitor, taken for the board's input") for name in MONITORS},
}


def probe(sysfs: Path) -> Probe:
    """The known chips under `sysfs` (normally `/sys`) that can be read."""
    root = sysfs / "class/hwmon"
    seen: list[str] = []
    meters: list[Gauge] = []
    reasons: list[str] = []
    for folder in listing(root, "hwmon*")[:MOST_CHIPS]:
        name = text_of(folder / "name") or "?"
        seen.append(name)
        chip = CHIPS.get(name)
        if chip is None or (name in MONITORS and listing(sysfs / "bus/i2c/drivers", "ina3221*/*-00*")):
            continue
        try:
            meters += _open(folder, name, chip)
        except ReadError as error:
            denied = ": readable by root alone, grant read access to it" if is_denied(error) else ""
            reasons.append(f"{error}{denied}")
    none = f"{root} has no chip that measures energy or power of something known (it has: {', '.join(seen[:12]) or 'none'})"
    return meters[:MOST_DEVICES] or Unavailable(READER, reasons[0] if reasons else none)


def _open(folder: Path, name: str, chip: Chip) -> list[Gauge]:
    found = next(filter(None, (listing(folder, pattern) for pattern in chip.files)), None) or []
    files = [file for file in found if (text_of(_label(file)) or "").startswith(chip.label)]
    suffix = folder.name.removeprefix("hwmon")
    names = [f"{name}-{suffix}" if len(files) == 1 else f"{name}-{suffix}-{number}" for number in range(len(files))]
    domain = "cpu" if name == "amdgpu" and _is_integrated(folder) else chip.domain
    return [_meter(file, device, domain, chip.what) for file, device in zip(files, names, strict=True)]


def _meter(file: Path, name: str, domain: Domain, what: str) -> Gauge:
    read: Callable[[], int] = partial(read_int, file)
    note = f"{what}: {file}"
    if file.name.startswith("energy"):
        return CounterMeter(Device(name, READER, "measured", note, unit="uJ", domain=domain), read, 1e-6)
    read()
    device = Device(name, READER, "integrated", note, kind="power", unit="uW", domain=domain)
    return PowerMeter(device, read, 1e-6)


def _label(file: Path) -> Path:
    return file.with_name(file.name.rpartition("_")[0] + "_label")


def _is_integrated(folder: Path) -> bool:
    """Whether an AMD GPU is part of the CPU's package, whose power it then reports: it has no memory maker to name
    (drivers/gpu/drm/amd/amdgpu/amdgpu_vram_mgr.c shows the file for cards alone)."""
    return not (folder / "device/mem_info_vram_vendor").exists()
