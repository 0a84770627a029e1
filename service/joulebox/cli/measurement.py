"""What was measured of a package's variants: as JSON, and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

import joulebox
from joulebox.bench.words import joules_and_half, milliseconds, scaled_joules
from joulebox.energy import Device, Rates, weakest
from joulebox.energy.carbon import OFF
from joulebox.energy.turns import Energy
from joulebox.host import Host
from joulebox.package import Manifest
from joulebox.runtime.carbon_state import described

JSON_SCHEMA = 1
BUSY = 0.05  # of the host's CPU time, by others: from here on a note says so
JOULES_PER_WH = 3600.0
MILLION = 1e6


@dataclass(frozen=True)
class Row:
    """One variant at one batch size."""

    variant: str
    engine: str
    precision: str
    batch: int
    runs: int
    latency_median_s: float
    """Of a run, which computes a whole batch."""
    latency_p99_s: float
    inferences_per_second: float
    energy: Energy


@dataclass(frozen=True)
class Measurement:
    """What came of `joulebox measure`."""

    manifest: Manifest
    host: Host
    devices: Sequence[Device]
    threads: int
    measured_at: str
    """ISO 8601, UTC."""
    others_busy: float | None
    """The part of the host's CPU time that other processes used meanwhile."""
    rows: Sequence[Row]
    refused: Mapping[str, str]
    """What was not measured, and why."""
    why_no_source: str
    """What the readers said that found nothing."""
    rates: Rates = OFF

    @property
    def source(self) -> str:
        return weakest(device.source for device in self.devices)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": JSON_SCHEMA,
            "joulebox": joulebox.__version__,
            "model": self.manifest.name,
            "version": self.manifest.version,
            "measured_at": self.measured_at,
            "host": self.host.facts,
            "threads": self.threads,
            "others_busy": self.others_busy,
            "source": self.source,
            "devices": [_device(device) for device in self.devices],
            "carbon": None if self.rates.off else described(self.rates),
            "results": [{**_result(row), **_footprint(row, self.rates)} for row in self.rows],
            "not_measured": [{"what": what, "reason": why} for what, why in self.refused.items()],
        }

    def tables(self) -> RenderableType:
        return Group(_speeds(self.rows), _costs(self.rows), *map(Text, self._notes()))

    def _notes(self) -> list[str]:
        """What a reader of the figures has to know."""
        devices = ", ".join(f"{device.name} ({device.reader})" for device in self.devices)
        said = [f"energy: {self.source} by {devices}" if devices else f"energy: none; {self.why_no_source}"]
        if self.source == "estimated":
            said.append("An estimate's interval says how repeatable it is, not how right.")
        if devices:
            said += [line for row in self.rows if (line := _footprint_line(row, self.rates))]
            said += [f"{row.variant}, batch {row.batch}: {note}" for row in self.rows if (note := _note(row.energy))]
        if self.others_busy is not None and self.others_busy > BUSY:
            said.append(
                f"Other processes kept the cores {self.others_busy:.0%} busy meanwhile, which widens intervals and slows runs."
            )
        return said + [f"{what} was not measured: {why}" for what, why in self.refused.items()]


def _note(energy: Energy) -> str:
    if energy.joules_per_item is None:
        return f"joules are unknown: {energy.why}"
    every = energy.turns + energy.left_out
    return f"{energy.left_out} of {every} turns were left out: {energy.why}" if energy.left_out else ""


def _footprint(row: Row, rates: Rates) -> dict[str, float | None]:
    """Of a million inferences, with the idle power of their time; None where it is not known or no rate is set."""
    joules = row.energy.total_joules_per_item
    million = None if joules is None else joules * MILLION
    return {"grams_per_million": rates.grams(million), "cost_per_million": rates.cost(million)}


def _footprint_line(row: Row, rates: Rates) -> str:
    found = _footprint(row, rates)
    units = {"grams_per_million": "g CO2e", "cost_per_million": rates.price.currency if rates.price else ""}
    said = [f"{value:.3g} {units[name]}" for name, value in found.items() if value is not None]
    return f"{row.variant}, batch {row.batch}: {' and '.join(said)} per million, with idle" if said else ""


def _device(device: Device) -> dict[str, Any]:
    return {
        "device": device.name,
        "reader": device.reader,
        "source": device.source,
        "tick_seconds": device.tick_s,
        "note": device.note,
    }


def _result(row: Row) -> dict[str, Any]:
    energy = row.energy
    joules, dynamic, idle = energy.joules_per_item, energy.dynamic_watts, energy.idle_watts
    return {
        "variant": row.variant,
        "engine": row.engine,
        "precision": row.precision,
        "batch": row.batch,
        "runs": row.runs,
        "latency_median_s": row.latency_median_s,
        "latency_p99_s": row.latency_p99_s,
        "inferences_per_second": row.inferences_per_second,
        "joules_per_inference": joules,
        "ci95": energy.ci95,
        "total_joules_per_inference": energy.total_joules_per_item,
        "watt_hours_per_million": None if joules is None else joules * MILLION / JOULES_PER_WH,
        "dynamic_watts": dynamic,
        "idle_watts": idle,
        "watts": None if dynamic is None or idle is None else dynamic + idle,
        "turns": energy.turns,
        "turns_left_out": energy.left_out,
        "reason": energy.why,
    }


def _speeds(rows: Sequence[Row]) -> Table:
    table = _table("median", "p99", "inferences/s")
    table.caption = "milliseconds of a run, which computes a batch"
    for row in rows:
        times = (milliseconds(row.latency_median_s * 1e3), milliseconds(row.latency_p99_s * 1e3))
        table.add_row(row.variant, str(row.batch), *times, f"{row.inferences_per_second:,.0f}")
    return table


def _costs(rows: Sequence[Row]) -> Table:
    table = _table("per inference", "with idle", "per million", "watts", "idle")
    table.caption = "energy above idle, ± half its 95 % interval; with the idle power of that time"
    for row in rows:
        energy = row.energy
        joules, total, idle = energy.joules_per_item, energy.total_joules_per_item, energy.idle_watts
        table.add_row(
            row.variant,
            str(row.batch),
            "unknown" if joules is None else joules_and_half(joules, energy.ci95),
            "unknown" if total is None else scaled_joules(total),
            "unknown" if joules is None else f"{joules * MILLION / JOULES_PER_WH:.3g} Wh",
            "unknown" if idle is None else f"{(energy.dynamic_watts or 0.0) + idle:.3g}",
            "unknown" if idle is None else f"{idle:.3g}",
        )
    return table


def _table(*titles: str) -> Table:
    table = Table(
        "variant", "batch", *titles, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption_justify="left"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    return table
