"""`joulebox tune`: which variant runs best on this host, on which engine, with how many threads; kept for `serve`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import joulebox
from joulebox.bench.words import joules_and_half, milliseconds
from joulebox.cli.errors import FailedError, UsageError
from joulebox.cli.progress import time_bar
from joulebox.energy import Sources, open_sources, with_ticks
from joulebox.energy.driver import Driver
from joulebox.energy.trial import plan_trial, run_trial
from joulebox.energy.turns import Energy
from joulebox.engine import TIE, EngineError, Rung, library_versions, rungs
from joulebox.host import Choice, Objective, State, StateError, Tuning, available_memory, keep_tuning, open_state
from joulebox.package import Package, open_package
from joulebox.runtime.candidate import Candidate, open_candidates
from joulebox.runtime.golden import GoldenMismatch
from joulebox.runtime.settings import SettingError

SECONDS = 1.0
SETUPS_MAX = 64
THREADS = (1, 2, 4, 8)  # as far as there are cores
BATCHES = (1, 8, 32)  # where the objective is not latency
WEIGHTS = 3  # times the bytes of its file that an opened variant may take
BAR = 24  # characters of the longest


@dataclass(frozen=True)
class Setup:
    """A variant as it may be run here, and what that costs."""

    rung: Rung
    items: int
    """Computed at once."""
    bytes: int
    latency_median_s: float
    latency_p99_s: float
    inferences_per_second: float
    energy: Energy

    @property
    def threads(self) -> int:
        return self.rung.threads

    def cost(self, objective: Objective) -> float:
        """What is to be small: seconds of a run, seconds or joules of an inference; infinite where joules are not known."""
        if objective == "latency":
            return self.latency_median_s
        if objective == "throughput":
            return 1 / self.inferences_per_second
        joules = self.energy.total_joules_per_item or self.energy.joules_per_item
        return math.inf if joules is None else joules


def tune(  # noqa: PLR0913, PLR0917  # one for each option
    package: Annotated[Path, typer.Argument(help="A model package.", metavar="PACKAGE")],
    objective: Annotated[Objective, typer.Option(help="What is to be best: of one inference, or of many.")] = "latency",
    threads: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=1024, help="Of the engine; may be given again. Default: 1, 2, 4 and 8 up to the cores."
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, max=4096, help="Samples at once; may be given again. Default: 1, 8, 32; 1 for latency."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Of work for each way to run it.")] = SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Measure every way to run a package on this host, and keep the best: `serve` then takes it."""
    opened = open_package(package)
    ladder, batches = _asked(opened, objective, threads or _threads(), batch)
    state, sources = open_state(os.environ), _sources(max(rung.threads for rung in ladder))
    if objective == "energy" and not sources.meters:
        reasons = "; ".join(f"{reader.reader}: {reader.reason}" for reader in sources.unavailable)
        raise FailedError(f"joules are not known on this host, so nothing can be tuned for energy: {reasons}")
    _check_room(opened, ladder)
    refused: dict[str, str] = {}
    setups = _measured(opened, ladder, batches, sources, seconds, refused)
    best = _best(setups, objective)
    if not best:
        raise FailedError(f"no joules could be told apart from rest: {setups[0].energy.why}; take more --seconds")
    tuning = Tuning(
        joulebox=joulebox.__version__,
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        objective=objective,
        libraries={name: version for name, version in library_versions().items() if _used(name, best)},
        choices=[_choice(setup, objective) for setup in best],
        results=[_row(setup) for setup in setups],
    )
    kept, failed = None, None
    try:
        kept = str(keep_tuning(state, opened.manifest.version, tuning))
    except StateError as error:  # what took minutes is printed still
        failed = error
    if as_json:
        not_measured = [{"what": what, "reason": why} for what, why in refused.items()]
        content = {"model": opened.manifest.name, "version": opened.manifest.version, "host": state.host.facts}
        content |= {**tuning.model_dump(), "not_measured": not_measured, "kept": kept}
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(opened, state, setups, best[0], objective, refused, kept)
    if failed is not None:
        raise failed


def _print(  # noqa: PLR0913, PLR0917
    package: Package,
    state: State,
    setups: Sequence[Setup],
    best: Setup,
    objective: Objective,
    refused: Mapping[str, str],
    kept: str | None,
) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{package.manifest.name} {package.manifest.version} on {state.host.cpu or state.host.architecture}")
    console.print(_table(setups, best, objective))
    for what, why in refused.items():
        console.print(f"{what} was not measured: {why}", soft_wrap=True)
    console.print(f"{_words(best)} is best for {objective}: joulebox serve takes it from now on", soft_wrap=True)
    if kept is not None:
        console.print(f"kept in {kept}", soft_wrap=True)


def _asked(
    package: Package, objective: Objective, threads: Sequence[int], batch: Sequence[int] | None
) -> tuple[list[Rung], list[int]]:
    """What is to be measured, each at which batches.

    Raises:
        UsageError: it cannot be, or is too much.
    """
    counts = sorted(set(threads))
    one = objective == "latency" or not package.manifest.batched
    batches = sorted(set(batch or ((1,) if one else BATCHES)))
    if objective == "latency" and batches != [1]:
        raise UsageError(f"--batch {max(batches)}: latency is of one inference at a time; leave it out")
    ladder = [replace(rung, threads=count) for rung in rungs(package) for count in counts]
    if len(ladder) * len(batches) > SETUPS_MAX:
        raise UsageError(
            f"{len(ladder) // len(counts)} variants and engines × {len(counts)} --threads × {len(batches)} --batch:"
            f" expected at most {SETUPS_MAX} in all"
        )
    return ladder, batches


def _threads() -> list[int]:
    cores = os.cpu_count() or 1
    return [count for count in THREADS if count <= cores]


def _check_room(package: Package, ladder: Sequence[Rung]) -> None:
    """All of them are in memory at once, each with weights of its own.

    Raises:
        FailedError: that would take memory that others have.
    """
    there = available_memory(os.environ)
    need = WEIGHTS * sum(package.manifest.size(rung.variant) for rung in ladder)
    if there is not None and need > there / 2:
        raise FailedError(
            f"{len(ladder)} engines at once may take {need / 2**20:,.0f} MiB, more than half of the {there / 2**20:,.0f} MiB that"
            " are free; measure fewer --threads at a time"
        )


def _measured(  # noqa: PLR0913, PLR0917
    package: Package,
    ladder: Sequence[Rung],
    batches: Sequence[int],
    sources: Sources,
    seconds: float,
    refused: dict[str, str],
) -> list[Setup]:
    """What works here, in turns, so that drift hits all alike; into `refused` what does not, and why.

    Raises:
        FailedError: nothing does, or one failed while it was measured.
    """
    found = [*_subjects(package, ladder, batches, refused)]
    if not found:
        reasons = "; ".join(f"{what}: {why}" for what, why in refused.items())
        raise FailedError(f"nothing of {package.manifest.name} could be measured on this host: {reasons}")
    drivers = [driver for _, driver in found]
    plan = plan_trial(sources.meters, seconds)
    with time_bar("measuring", plan.turns * sum(map(plan.turn_s, drivers))) as say:
        try:
            energies = run_trial(sources.meters, drivers, plan, say=say)
        except EngineError as error:
            raise FailedError(f"a variant failed while it was measured: {error}") from error
    return [_setup(*each, energy) for each, energy in zip(found, energies, strict=True)]


def _sources(threads: int) -> Sources:
    try:
        return with_ticks(open_sources(os.environ, threads=threads))
    except ValueError as error:
        raise SettingError(str(error)) from error


def _subjects(
    package: Package, ladder: Sequence[Rung], batches: Sequence[int], refused: dict[str, str]
) -> Iterator[tuple[Candidate, Driver]]:
    for rung in ladder:
        if rung.name in refused:  # with fewer threads already
            continue
        (found,) = open_candidates(package, [rung])
        if not isinstance(found, Candidate):
            refused[rung.name] = found[1]
            continue
        for items in batches:
            try:
                yield found, Driver(found.runner(items), items)
            except (EngineError, GoldenMismatch) as error:
                refused[f"{found.rung.name}, batch {items}"] = str(error)


def _setup(candidate: Candidate, driver: Driver, energy: Energy) -> Setup:
    latencies = driver.latencies
    return Setup(
        rung=candidate.rung,
        items=driver.items,
        bytes=candidate.package.manifest.size(candidate.rung.variant),
        latency_median_s=latencies.quantile(0.5),
        latency_p99_s=latencies.quantile(0.99),
        inferences_per_second=driver.items * latencies.count / latencies.total_s,
        energy=energy,
    )


def _best(setups: Sequence[Setup], objective: Objective) -> list[Setup]:
    """One of each variant and engine, the best first; of what is as good within noise the one of fewer threads and bytes."""
    best: list[Setup] = []
    left: list[Setup] = [setup for setup in setups if math.isfinite(setup.cost(objective))]
    while left:
        enough = (1 + TIE) * min(setup.cost(objective) for setup in left)
        tied = [setup for setup in left if setup.cost(objective) <= enough]
        chosen: Setup = min(tied, key=lambda setup: (setup.threads, setup.bytes, setup.items, setup.cost(objective)))
        best.append(chosen)
        left = [setup for setup in left if setup.rung.name != chosen.rung.name]
    return best


def _used(engine: str, best: Sequence[Setup]) -> bool:
    return any(setup.rung.engine == engine for setup in best)


def _choice(setup: Setup, objective: Objective) -> Choice:
    batch = None if objective == "latency" else setup.items
    return Choice(variant=setup.rung.variant.name, engine=setup.rung.engine, threads=setup.threads, batch=batch)


def _row(setup: Setup) -> dict[str, Any]:
    return {
        "variant": setup.rung.variant.name,
        "engine": setup.rung.engine,
        "threads": setup.threads,
        "batch": setup.items,
        "latency_median_s": setup.latency_median_s,
        "latency_p99_s": setup.latency_p99_s,
        "inferences_per_second": setup.inferences_per_second,
        "joules_per_inference": setup.energy.joules_per_item,
        "ci95": setup.energy.ci95,
        "total_joules_per_inference": setup.energy.total_joules_per_item,
    }


def _words(setup: Setup) -> str:
    threads = "1 thread" if setup.threads == 1 else f"{setup.threads} threads"
    return f"{setup.rung.variant.name} on {setup.rung.engine} with {threads}" + (
        f" in batches of {setup.items}" if setup.items > 1 else ""
    )


def _table(setups: Sequence[Setup], best: Setup, objective: Objective) -> Table:
    """The best first, with a bar of what the objective asks for."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption_justify="left")
    for title in ("variant", "engine"):
        table.add_column(title)
    for title in ("threads", "batch", "median", "p99", "inferences/s", "per inference"):
        table.add_column(title, justify="right")
    table.add_column(objective)
    bars = _bars(setups, objective)
    for setup in sorted(setups, key=lambda setup: (setup is not best, setup.cost(objective))):
        energy = setup.energy
        table.add_row(
            setup.rung.variant.name,
            setup.rung.engine,
            str(setup.threads),
            str(setup.items),
            milliseconds(1e3 * setup.latency_median_s),
            milliseconds(1e3 * setup.latency_p99_s),
            f"{setup.inferences_per_second:,.0f}",
            "unknown" if energy.joules_per_item is None else joules_and_half(energy.joules_per_item, energy.ci95),
            Text(bars(setup), style="bold green" if setup is best else ""),
        )
    more = {"latency": "shorter", "throughput": "longer", "energy": "shorter"}[objective]
    table.caption = f"milliseconds of a run, which computes a batch; a {more} bar is better"
    return table


def _bars(setups: Sequence[Setup], objective: Objective) -> Callable[[Setup], str]:
    def height(setup: Setup) -> float:
        cost = setup.cost(objective)
        return 1 / cost if objective == "throughput" else cost

    highest = max(filter(math.isfinite, map(height, setups)))
    return lambda setup: (
        "█" * max(1, round(BAR * height(setup) / highest)) if math.isfinite(height(setup)) else "unknown"
    )
