"""`joulebox measure`: what the variants of a package cost on this host, kept for it."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from joulebox.cli.errors import FailedError, UsageError
from joulebox.cli.measurement import Measurement, Row
from joulebox.cli.progress import time_bar
from joulebox.energy import Sources, open_sources, with_ticks
from joulebox.energy.driver import Driver
from joulebox.energy.trial import plan_trial, run_trial
from joulebox.energy.turns import Energy
from joulebox.engine import EngineError, rungs
from joulebox.host import State, StateError, Utilisation, keep_measurement, open_state
from joulebox.package import Package, open_package
from joulebox.runtime.candidate import Candidate, open_candidates
from joulebox.runtime.golden import GoldenMismatch
from joulebox.runtime.rates import load_rates
from joulebox.runtime.settings import SettingError, load_settings

SECONDS = 5.0
SUBJECTS_MAX = 64


Subjects = list[tuple[Candidate, Driver]]
"""Variants at a batch size each, warm."""


def measure(
    package: Annotated[Path, typer.Argument(help="A model package.", metavar="PACKAGE")],
    batch: Annotated[
        list[int] | None, typer.Option(min=1, max=4096, help="Samples in each run; may be given again. Default: 1.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Of work for each variant and batch; at rest for as long again.")
    ] = SECONDS,
    variant: Annotated[
        list[str] | None, typer.Option(help="One of the package's; may be given again. Default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Measure what each variant of a package costs on this host: seconds and joules per inference."""
    opened = open_package(package)
    names, batches = _chosen(opened, variant or []), sorted(set(batch or [1]))
    if len(names) * len(batches) > SUBJECTS_MAX:
        raise UsageError(f"{len(names)} variants × {len(batches)} batches: expected at most {SUBJECTS_MAX} in all")
    threads, rates = load_settings(os.environ, Path.cwd()).threads_untuned, load_rates(os.environ)
    try:
        sources = with_ticks(open_sources(os.environ, threads=threads))
    except ValueError as error:
        raise SettingError(str(error)) from error
    state = open_state(os.environ)
    subjects, refused = _subjects(opened, names, batches, threads)
    if not subjects:
        reasons = "; ".join(f"{what}: {why}" for what, why in refused.items())
        raise FailedError(f"nothing of {opened.manifest.name} could be measured on this host: {reasons}")
    utilisation = Utilisation(os.environ)
    energies = _energies(sources, subjects, seconds)
    measured = Measurement(
        manifest=opened.manifest,
        host=state.host,
        devices=[meter.device for meter in sources.meters],
        threads=threads,
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        others_busy=utilisation.others(),
        rows=[_row(*subject, energy) for subject, energy in zip(subjects, energies, strict=True)],
        refused=refused,
        rates=rates,
        why_no_source="; ".join(f"{missing.reader}: {missing.reason}" for missing in sources.unavailable),
    )
    _finish(measured, state, as_json=as_json)


def _chosen(package: Package, names: list[str]) -> list[str]:
    known = [variant.name for variant in package.manifest.variants]
    for name in names:
        if name not in known:
            raise UsageError(f"--variant {name[:80]!r}: {package.manifest.name} has none; expected {', '.join(known)}")
    return [name for name in known if name in (names or known)]


def _subjects(package: Package, names: list[str], batches: list[int], threads: int) -> tuple[Subjects, dict[str, str]]:
    """What can be measured here, and what cannot, with the reason."""
    subjects: Subjects = []
    refused: dict[str, str] = {}
    ladder = [
        replace(rung, threads=threads)
        for rung in rungs(package)
        if rung.variant.name in names and rung.engine == rung.variant.engine
    ]
    for found in open_candidates(package, ladder):
        if not isinstance(found, Candidate):
            refused[found[0].name] = found[1]
            continue
        for items in batches:
            try:
                subjects.append((found, Driver(found.runner(items), items)))
            except (EngineError, GoldenMismatch) as error:
                refused[f"{found.rung.name}, batch {items}"] = str(error)
    return subjects, refused


def _energies(sources: Sources, subjects: Subjects, seconds: float) -> list[Energy]:
    drivers = [driver for _, driver in subjects]
    plan = plan_trial(sources.meters, seconds)
    with time_bar("measuring", plan.turns * sum(map(plan.turn_s, drivers))) as say:
        try:
            return run_trial(sources.meters, drivers, plan, say=say)
        except EngineError as error:
            raise FailedError(f"a variant failed while it was measured: {error}") from error


def _row(candidate: Candidate, driver: Driver, energy: Energy) -> Row:
    latencies = driver.latencies
    return Row(
        variant=candidate.rung.name,
        engine=candidate.engine.name,
        precision=candidate.rung.variant.precision,
        batch=driver.items,
        runs=latencies.count,
        latency_median_s=latencies.quantile(0.5),
        latency_p99_s=latencies.quantile(0.99),
        inferences_per_second=driver.items * latencies.count / latencies.total_s,
        energy=energy,
    )


def _finish(measured: Measurement, state: State, *, as_json: bool) -> None:
    """Prints, keeps, and ends with another status than 0 where one of it failed."""
    kept: Path | None = None
    failed: Exception | None = None
    try:
        kept = keep_measurement(state, measured.manifest.version, measured.as_json())
    except StateError as error:
        failed = error
    if as_json:
        content = {**measured.as_json(), "kept": None if kept is None else str(kept)}
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(measured, kept)
    if failed is not None:
        raise failed
    if measured.devices and all(row.energy.joules_per_item is None for row in measured.rows):
        raise FailedError(f"joules could not be measured: {measured.rows[0].energy.why}")


def _print(measured: Measurement, kept: Path | None) -> None:
    console, manifest, host = Console(highlight=False, markup=False), measured.manifest, measured.host
    threads = "1 thread" if measured.threads == 1 else f"{measured.threads or 'all'} threads"
    console.print(f"{manifest.name} {manifest.version} on {host.cpu or host.architecture}, {threads}", soft_wrap=True)
    console.print(measured.tables())
    if kept:
        console.print(f"kept in {kept}", soft_wrap=True)
