"""`joulebox doctor`: what this host is and can run, what it would run of a package, where its joules come from, and what they
are said to cause and cost."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from joulebox.bench.words import plus_minus
from joulebox.cli.carbon import carbon_table
from joulebox.energy import Device, open_sources, with_ticks
from joulebox.engine import Rung, library_versions
from joulebox.engine.probe import Probed, probe_all
from joulebox.host import (
    Calibration,
    Gpus,
    Jetson,
    StateError,
    describe_host,
    find_gpus,
    find_jetson,
    instructions,
    open_state,
    read_calibrations,
)
from joulebox.package import Package, open_package
from joulebox.runtime.candidate import Candidate, open_candidates
from joulebox.runtime.carbon_state import described
from joulebox.runtime.rates import load_rates
from joulebox.runtime.rungs import ladder
from joulebox.runtime.settings import SettingError, load_settings

log = logging.getLogger("joulebox.host")


def doctor(
    packages: Annotated[
        list[Path] | None, typer.Argument(help="Model packages: what of each would be served here.", metavar="PACKAGE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show what this host is, which engines work on it, or why not, what of a package it would serve, and its energy sources."""
    opened = [open_package(path) for path in packages or []]
    try:
        sources = open_sources(os.environ)
    except ValueError as error:
        raise SettingError(str(error)) from error
    carbon = described(load_rates(os.environ))
    devices = [_device(meter.device, counts=True) for meter in with_ticks(sources).meters]
    devices += [_device(meter.device, counts=False) for meter in sources.overlapping]
    missing = [{"reader": reader.reader, "source": "none", "reason": reader.reason} for reader in sources.unavailable]
    calibrations = _calibrations()
    gpus, jetson, probed = find_gpus(), find_jetson(os.environ), probe_all()
    answer: dict[str, Any] = {
        "host": describe_host(os.environ).facts,
        "instructions": instructions(os.environ),
        "gpus": asdict(gpus),
        "jetson": jetson and asdict(jetson),
        "engines": _engines(probed),
        "packages": [_served(package, probed) for package in opened],
        "energy": [*devices, *missing],
        "carbon": carbon,
        "calibrations": [each.model_dump() for each in calibrations],
    }
    if as_json:
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(highlight=False)
    console.print(_host(answer["host"], answer["instructions"], gpus, jetson))
    console.print(_works(answer["engines"]))
    for each in answer["packages"]:
        console.print(_ladder(each))
    table = Table("energy reader", "source", "device", "tick", "what it says")
    for device in devices:
        table.add_row(device["reader"], device["source"], device["device"], _tick(device), Text(_words(device)))
    for reader in missing:
        table.add_row(reader["reader"], "none", "", "", Text(reader["reason"]))
    console.print(table)
    console.print(carbon_table(carbon))
    if calibrations:
        console.print(_idle(calibrations))


def _engines(probed: list[Probed]) -> list[dict[str, Any]]:
    """Each engine that is installed, with what it runs on, each tried."""
    return [
        {
            "engine": engine,
            "version": version,
            "providers": [
                {"provider": each.provider, "works": each.why is None, "reason": each.why}
                for each in probed
                if each.engine == engine
            ],
        }
        for engine, version in library_versions().items()
    ]


def _served(package: Package, probed: list[Probed]) -> dict[str, Any]:
    """What `serve` would take of it, and what it would step over. On a provider that does not work, nothing is opened."""
    broken = {each.provider: each.why for each in probed if each.why is not None}
    passed_over: list[dict[str, str | None]] = []
    taken: Rung | None = None
    for rung in ladder(package, load_settings(os.environ, Path.cwd())):
        why = broken.get(rung.variant.provider)
        if why is None:
            (found,) = open_candidates(package, [rung])
            if isinstance(found, Candidate):
                taken = rung
                break
            _, why = found
        passed_over.append({"variant": rung.variant.name, "engine": rung.engine, "reason": why})
    return {
        "model": package.manifest.name,
        "version": package.manifest.version,
        "variant": taken and taken.variant.name,
        "engine": taken and taken.engine,
        "tuned": taken is not None and taken.tuned,
        "passed_over": passed_over,
    }


def _host(facts: dict[str, Any], found: dict[str, list[str]], gpus: Gpus, jetson: Jetson | None) -> Table:
    table = Table("host", "")
    table.add_row("CPU", Text(f"{facts['cpu'] or facts['architecture']}, {facts['logical_cores']} logical cores"))
    for what, names in found.items():
        table.add_row(f"  {what}", Text(", ".join(names) or "none of those that make models fast"))
    if jetson is not None:
        table.add_row("Jetson", Text(f"{jetson.model}, L4T {jetson.l4t or 'unknown'}"))
        table.add_row("  power mode", Text(jetson.power_mode or "unknown"))
    for gpu in gpus.gpus:
        memory = "" if gpu.memory_mib is None else f", {gpu.memory_mib} MiB"
        table.add_row("GPU", Text(f"{gpu.name}, compute capability {gpu.compute_capability or 'unknown'}{memory}"))
    if gpus.gpus:
        table.add_row("  driver", Text(f"{gpus.driver}, for CUDA up to {gpus.cuda or 'unknown'}"))
    else:
        table.add_row("GPU", Text(f"none: {gpus.why}"))
    return table


def _works(engines: list[dict[str, Any]]) -> Table:
    table = Table("engine", "version", "on", "works")
    for engine in engines:
        for each in engine["providers"]:
            works = "yes" if each["works"] else f"no: {each['reason']}"
            table.add_row(engine["engine"], engine["version"], each["provider"], Text(works))
    if all(engine["engine"] != "openvino" for engine in engines):
        table.add_row("openvino", "", "", Text("not installed: pip install 'joulebox[openvino]'"))
    return table


def _ladder(served: dict[str, Any]) -> Table:
    table = Table(f"{served['model']} {served['version']}", "engine", "here")
    for each in served["passed_over"]:
        table.add_row(each["variant"], each["engine"], Text(f"passed over: {each['reason']}"))
    if served["variant"] is None:
        table.add_row("", "", Text("nothing of it works on this host"))
    else:
        how = "as tuned" if served["tuned"] else "not tuned"
        table.add_row(served["variant"], served["engine"], Text(f"would be served ({how})"))
    return table


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
