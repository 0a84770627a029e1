"""NVIDIA Jetson boards: power of their rails, from the INA3221 and INA238 monitors on the module and its carrier.

| JetPack | driver | files under `/sys/bus/i2c/drivers/` |
| --- | --- | --- |
| 4 (Linux 4.9) | NVIDIA's ina3221x, an iio device | `ina3221x/7-0040/iio:device0/{rail_name_N,in_powerN_input}` (mW), N from 0 |
| 5 to 7 | drivers/hwmon/ina3221.c | `ina3221/1-0040/hwmon/hwmon3/{inN_label,inN_input,currN_input}` (mV, mA), N from 1 |
| 7 (Thor) | drivers/hwmon/ina238.c | `ina238/2-0044/hwmon/hwmon5/power1_input` (uW): the input of the developer kit |

`in4` to `in6` of the INA3221 are shunt voltages and `in7` their sum (https://docs.kernel.org/hwmon/ina3221.html): never read.

Which rails there are differs by board, and so does which contains which. Orin: arch/arm64/boot/dts/nvidia/tegra234-p3701.dtsi
and tegra234-p3767.dtsi; AGX Xavier: tegra194-p2888.dtsi and its Product Design Guide (DG-09840), which feeds all six
rails from two inputs side by side; the older ones and AGX Orin's `VDDQ_VDD2_1V8AO`, which hangs on `VIN_SYS_5V0`:
energymon's jetson/JetsonPowerRails.md and energymon-jetson.c, after L4T's device trees; Thor: NVIDIA's forum, thread 366461
(the INA238 sees all that goes into module and carrier), and tegrastats' names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from joulebox.energy.integrate import PowerMeter
from joulebox.energy.reader import Device, Domain, Gauge, Probe, ReadError, Unavailable
from joulebox.energy.sysfs import int_of, listing, read_int, text_of

READER = "jetson"
MODULE = "jetson-module"
VIN = "VIN"  # what tegrastats calls the rail that the INA238 measures, which has no label of its own
NOT_CONNECTED = "NC"
CHANNELS = 3
MOST_CHIPS = 16

Milliwatts = Callable[[], float]


@dataclass(frozen=True)
class Board:
    """A board's rails: those that make up its total, side by side, and those that hang on them."""

    name: str
    total: tuple[str, ...]
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    """By rail, the rail that feeds it, or the module as a whole."""

    def within(self, rail: str) -> str | None:
        """The device that contains a rail; None where that is not known, as for other rails of a carrier."""
        parent = MODULE if rail in self.total else self.parts.get(rail)
        return parent if parent in {None, MODULE} else _name(str(parent))


BOARDS = (
    Board("Thor developer kit", (VIN,), dict.fromkeys(("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"), MODULE)),
    Board("Thor module", ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0")),
    Board("AGX Orin module", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}),
    Board("module input", ("VDD_IN",), dict.fromkeys(("VDD_CPU_GPU_CV", "VDD_CPU_GPU", "VDD_SOC"), MODULE)),
    Board("Jetson Nano module", ("POM_5V_IN",), dict.fromkeys(("POM_5V_GPU", "POM_5V_CPU"), MODULE)),
    Board("AGX Xavier module", ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")),
)
"""The first whose rails are all there is the one. `VDD_IN` is that of Orin Nano, Orin NX, Xavier NX and TX2."""


def probe(sysfs: Path) -> Probe:
    """The board's total, and each rail by itself, under `sysfs` (normally `/sys`)."""
    drivers = sysfs / "bus/i2c/drivers"
    rails = _rails(drivers)
    if not rails:
        return Unavailable(READER, f"{drivers} has no ina3221, ina3221x or ina238 that can be read: not a Jetson board")
    board = next((board for board in BOARDS if all(rail in rails for rail in board.total)), None)
    if board is None:
        return Unavailable(
            READER, f"rails {', '.join(sorted(rails))} are of no board in the table: their sum might count joules twice"
        )
    note = f"{board.name}: {' + '.join(board.total)} ({rails[board.total[0]][1]})"
    total = partial(_sum, [rails[rail][0] for rail in board.total])
    meters: list[Gauge] = [_meter(MODULE, note, total, "board", None)]
    for rail, (milliwatts, origin) in rails.items():
        if board.total != (rail,):
            meters.append(_meter(_name(rail), origin, milliwatts, "part", board.within(rail)))
    return meters


def _meter(name: str, note: str, milliwatts: Milliwatts, domain: Domain, within: str | None) -> Gauge:
    device = Device(name, READER, "integrated", note, kind="power", unit="mW", domain=domain, within=within)
    return PowerMeter(device, milliwatts, 1e-3)


def _name(rail: str) -> str:
    return "jetson-" + rail.lower().replace("_", "-")


def _rails(drivers: Path) -> dict[str, tuple[Milliwatts, str]]:
    """Each rail that can be read, by its label: its power in mW, and where that is."""
    found: dict[str, tuple[Milliwatts, str]] = {}
    for driver in ("ina3221", "ina3221x"):
        for chip in listing(drivers / driver, "*-00*")[:MOST_CHIPS]:
            for folder in listing(chip, "iio:device*")[:1]:
                _add_iio(folder, found)
            for folder in listing(chip / "hwmon", "hwmon*")[:1]:
                _add_hwmon(folder, found)
    monitors = listing(drivers / "ina238", "*-00*/hwmon/hwmon*/power1_input")
    if found and len(monitors) == 1:  # several would each measure something unknown
        _add(found, VIN, partial(_microwatts, monitors[0]), monitors[0])
    return found


def _add_iio(folder: Path, found: dict[str, tuple[Milliwatts, str]]) -> None:
    for channel in range(CHANNELS):
        power = folder / f"in_power{channel}_input"
        _add(found, text_of(folder / f"rail_name_{channel}"), partial(read_int, power), power)


def _add_hwmon(folder: Path, found: dict[str, tuple[Milliwatts, str]]) -> None:
    for channel in range(1, CHANNELS + 1):
        if int_of(folder / f"in{channel}_enable") == 0:
            continue
        voltage, current = folder / f"in{channel}_input", folder / f"curr{channel}_input"
        _add(found, text_of(folder / f"in{channel}_label"), partial(_product, voltage, current), current)


def _add(found: dict[str, tuple[Milliwatts, str]], label: str | None, power: Milliwatts, origin: Path) -> None:
    if not label or label == NOT_CONNECTED or label in found:
        return
    try:
        power()
    except ReadError:
        return  # a channel that is off answers with an error
    found[label] = (power, str(origin))


def _product(voltage: Path, current: Path) -> float:
    return read_int(voltage) * read_int(current) / 1000


def _microwatts(power: Path) -> float:
    return read_int(power) / 1000


def _sum(powers: list[Milliwatts]) -> float:
    return sum(power() for power in powers)
