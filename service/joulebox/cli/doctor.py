"""`joulebox doctor`: what this host can run, where its joules come from, and what they are said to cause and cost."""

from __future__ import annotations

import logging
import os
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from joulebox.bench.words import plus_minus
from joulebox.cli.carbon import carbon_table
from joulebox.energy import Device, open_sources, with_ticks
from joulebox.host import Calibration, StateError, describe_host, open_state, read_calibrations
from joulebox.runtime.carbon_state import described
from joulebox.runtime.rates import load_rates
from joulebox.runtime.settings import SettingError

log = logging.getLogger("joulebox.host")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show this host's engines and energy sources, or why it has none, what was calibrated, and what carbon and price are set."""
    import onnxruntime  # here, since the other commands start faster without it  # noqa: PLC0415

    ort: Any = onnxruntime  # its stubs are partial
    try:
        sources = open_sources(os.environ)
    except ValueError as error:
        raise SettingError(str(error)) from error
    carbon = described(load_rates(os.environ))
    devices = [_device(meter.device, counts=True) for meter in with_ticks(sources).meters]
    devices += [_device(meter.device, counts=False) for meter in sources.overlapping]
    missing = [{"reader": reader.reader, "source": "none", "reason": reader.reason} for reader in sources.unavailable]
    calibrations = _calibrations()
    if as_json:
        engines = [{"engine": "onnxruntime", "version": ort.__version__, "compiled_in": ort.get_available_providers()}]
        answer = {
            "engines": engines,
            "energy": [*devices, *missing],
            "host": describe_host(os.environ).facts,
            "carbon": carbon,
            "calibrations": [each.model_dump() for each in calibrations],
        }
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    console.print(
        f"onnxruntime {ort.__version__}, compiled with {', '.join(ort.get_available_providers())}", highlight=False
    )
    table = Table("energy reader", "source", "device", "tick", "what it says")
    for device in devices:
        table.add_row(device["reader"], device["source"], device["device"], _tick(device), Text(_words(device)))
    for reader in missing:
        table.add_row(reader["reader"], "none", "", "", Text(reader["reason"]))
    console.print(table)
    console.print(carbon_table(carbon))
    if calibrations:
        console.print(_idle(calibrations))


def _calibrations() -> list[Calibration]:
    try:
        return read_calibrations(open_state(os.environ))
    except StateError as error:
        log.warning("%s", error)
        return []


def _idle(calibrations: list[Calibration]) -> Table:
    table = Table("calibrated", "reader", "at rest", "when", "in memory")
    for each in calibrations:
        watts = f"{plus_minus(each.watts, each.error_watts)} W"
        table.add_row(each.device, each.reader, watts, each.measured_at, Text(", ".join(each.loaded) or "no model"))
    return table


def _device(device: Device, *, counts: bool) -> dict[str, Any]:
    return {
        "reader": device.reader,
        "device": device.name,
        "source": device.source,
        "counts": counts,
        "kind": device.kind,
        "unit": device.unit,
        "tick_seconds": device.tick_s,
        "within": device.within,
        "note": device.note,
    }


def _tick(device: dict[str, Any]) -> str:
    seconds = device["tick_seconds"]
    return "" if seconds is None else f"{seconds * 1000:.3g} ms"


def _words(device: dict[str, Any]) -> str:
    """The note, and why it is not counted or what is around it."""
    within = f"within {device['within']}" if device["within"] else ""
    kept_out = "" if device["counts"] else "not counted"
    return "; ".join(part for part in (device["note"], within, kept_out) if part)
