"""The host's energy sources: all readers asked, and which of what they found counts, so that no joule counts twice.

What counts is the first of these that anything was found of:

1. a *board*: a Jetson module or a Raspberry Pi, with all that is on it; CPU, GPU and memory lie within it.
2. its *components*, side by side: CPU packages, DRAM, GPUs. CPUs of the first reader that has any (RAPL before hwmon).
3. the *system*: one meter of all that the host draws (battery, a server's power meter, RAPL's psys), and only one, since
   two would be two views of the same.
4. the *estimate*, unless it is switched off; it also stands in for the CPU where GPUs or memory alone measure, since a model
   that runs on the CPU would seem to cost nothing there.

Components come before the system although that contains them: they are counters with ticks of milliseconds, which do not
stop when a laptop is plugged in, and hold no screen. A board comes before its components because it has no counter for each.
Whatever else was found is shown with the device that contains it (`within`), and never added to anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from joulebox.energy import battery, estimate, hwmon, jetson, nvml, pi, rapl
from joulebox.energy import tick as ticks
from joulebox.energy.idle import Idle
from joulebox.energy.reader import Device, Gauge, Mark, Meter, Probe, Unavailable

OFF_SETTING = "JOULEBOX_ENERGY_OFF"
READERS: Mapping[str, Callable[[Path], Probe]] = {
    nvml.READER: lambda _: nvml.probe(),
    rapl.READER: rapl.probe,
    jetson.READER: jetson.probe,
    hwmon.READER: hwmon.probe,
    battery.READER: battery.probe,
    pi.READER: lambda _: pi.probe(),
}
COMPONENTS = ("cpu", "gpu", "memory")
COVERS_CPU = ("cpu", "board", "system")


@dataclass(frozen=True)
class Placed:
    """A meter whose device is described anew: what contains it, its tick."""

    meter: Gauge
    device: Device

    def joules(self) -> float:
        return self.meter.joules()

    def sample(self) -> float:
        return self.meter.sample()

    def mark(self) -> Mark:
        return self.meter.mark()

    def resume(self, mark: Mark) -> None:
        self.meter.resume(mark)


@dataclass(frozen=True)
class Sources:
    """What was found, and for each reader that found nothing, why."""

    meters: tuple[Meter, ...]
    """Those that count: no two of them overlap."""
    unavailable: tuple[Unavailable, ...]
    overlapping: tuple[Meter, ...] = ()
    """Found too, but within one of those that count, or around them: to be shown, never to be added up."""


def open_sources(
    environment: Mapping[str, str], *, threads: int = 1, cpu_s: Callable[[], float] = time.process_time
) -> Sources:
    """Probes the host, under `JOULEBOX_SYSFS` (default `/sys`), and estimates only where nothing measures the CPU.

    Args:
        threads: how many cores a busy model keeps busy, for the estimate.
        cpu_s: the CPU seconds used so far, likewise; of this process where nothing else is given.

    Raises:
        ValueError: a setting is not what it should be.
    """
    check_settings(environment)
    sysfs = Path(environment.get("JOULEBOX_SYSFS") or "/sys")
    off = _names(environment)
    found: list[Gauge] = []
    unavailable: list[Unavailable] = []
    for name, probe in READERS.items():
        outcome = Unavailable(name, f"switched off by {OFF_SETTING}") if name in off else probe(sysfs)
        if isinstance(outcome, Unavailable):
            unavailable.append(outcome)
        else:
            found += outcome
    counting, overlapping = choose(found)
    if any(meter.device.domain in COVERS_CPU for meter in counting):
        reason = f"not needed: {', '.join(sorted({meter.device.reader for meter in counting}))} measures"
        return Sources(counting, (*unavailable, Unavailable(estimate.READER, reason)), overlapping)
    procfs = Path(environment.get("JOULEBOX_PROCFS") or "/proc")
    estimated = estimate.probe(environment.get(estimate.SETTING), max(1, threads), cpu_s, procfs)
    if isinstance(estimated, Unavailable):
        return Sources(counting, (*unavailable, estimated), overlapping)
    return Sources((*counting, estimated), tuple(unavailable), overlapping)


def check_settings(environment: Mapping[str, str]) -> None:
    """Refuses settings that `open_sources` would refuse, without touching any device.

    Raises:
        ValueError: a setting is not what it should be.
    """
    unknown = sorted(_names(environment) - set(READERS))
    if unknown:
        raise ValueError(f"{OFF_SETTING}: {unknown[0]!r} is no reader, expected some of {', '.join(READERS)}")
    estimate.check(environment.get(estimate.SETTING))


def choose(found: Iterable[Gauge]) -> tuple[tuple[Meter, ...], tuple[Meter, ...]]:
    """What counts, and what else was found, both with what contains them; the module says by which rule."""
    all_found = list(found)
    counting = _counting(all_found)
    others = [meter for meter in all_found if meter not in counting]
    systems = [meter.device.name for meter in others if meter.device.domain == "system"]
    around = systems[0] if systems and counting[0].device.domain != "system" else None
    return (
        tuple(_within(meter, around) for meter in counting),
        tuple(_within(meter, _container(meter.device, counting)) for meter in others),
    )


def with_ticks(
    sources: Sources, known: Mapping[str, float | None] | None = None, limit_s: float = ticks.LIMIT_S
) -> Sources:
    """The same with each counting device's tick measured, where its reader does not say it: takes up to `limit_s`, so call
    it in a thread.

    Args:
        known: ticks by device name that were measured before, and are not again.
    """
    found = dict(known or {})
    gauges = [meter for meter in sources.meters if isinstance(meter, Gauge) and _has_unknown_tick(meter.device)]
    asked = [gauge for gauge in gauges if gauge.device.name not in found]
    if asked:
        found |= zip((gauge.device.name for gauge in asked), ticks.measure(asked, limit_s), strict=True)
    placed = {id(gauge): Placed(gauge, replace(gauge.device, tick_s=found[gauge.device.name])) for gauge in gauges}
    return replace(sources, meters=tuple(placed.get(id(meter), meter) for meter in sources.meters))


def with_calibrations(sources: Sources, calibrations: Mapping[tuple[str, str, str], Idle]) -> Sources:
    """The same with idle power that was measured on purpose, by the names of device and reader, and `Device.identity`."""
    placed = [
        Placed(meter, replace(meter.device, calibration=idle))
        if isinstance(meter, Gauge) and (idle := calibrations.get(_named(meter.device)))
        else meter
        for meter in sources.meters
    ]
    return replace(sources, meters=tuple(placed))


def _named(device: Device) -> tuple[str, str, str]:
    return device.name, device.reader, device.identity


def _has_unknown_tick(device: Device) -> bool:
    return device.kind != "model" and device.tick_s is None


def _counting(found: list[Gauge]) -> list[Gauge]:
    boards = [meter for meter in found if meter.device.domain == "board"]
    if boards:
        return boards[:1]
    cpu_reader = next((meter.device.reader for meter in found if meter.device.domain == "cpu"), None)
    components = [
        meter
        for meter in found
        if meter.device.domain in COMPONENTS and (meter.device.domain != "cpu" or meter.device.reader == cpu_reader)
    ]
    return components or [meter for meter in found if meter.device.domain == "system"][:1]


def _container(device: Device, counting: list[Gauge]) -> str | None:
    """What contains a device that does not count: the board, or for a second view of a CPU the first one."""
    if device.domain in {"system", "part"}:
        return None
    first = counting[0].device
    same = next((meter.device.name for meter in counting if meter.device.domain == device.domain), None)
    return first.name if first.domain in {"board", "system"} else same


def _within(meter: Gauge, container: str | None) -> Gauge:
    known = meter.device.within or container
    return meter if known == meter.device.within else Placed(meter, replace(meter.device, within=known))


def _names(environment: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in environment.get(OFF_SETTING, "").split(",") if name.strip()}
