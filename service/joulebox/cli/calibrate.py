"""`joulebox calibrate`: idle power, measured on purpose and kept for this host."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

import joulebox
from joulebox.bench.words import plus_minus
from joulebox.cli.errors import FailedError
from joulebox.cli.progress import time_bar
from joulebox.energy import Meter, open_sources, with_ticks
from joulebox.energy.driver import Driver
from joulebox.energy.rest import Rested, chunks_of, watch_rest
from joulebox.host import Calibration, State, StateError, Utilisation, keep_calibrations, open_state
from joulebox.package import open_package
from joulebox.runtime.candidate import Candidate, open_candidates
from joulebox.runtime.rungs import ladder
from joulebox.runtime.settings import SettingError, load_settings

SECONDS = 60.0
OTHERS_MAX = 0.05  # of all cores' time
ERROR_MAX = 0.05  # of the power, for one standard error: as what serving learns has to be
JSON_SCHEMA = 1


@dataclass(frozen=True)
class Watched:
    """What came of watching."""

    meters: Sequence[Meter]
    outcomes: Sequence[Rested | str]
    others_busy: float | None
    loaded: list[str]

    @property
    def refused(self) -> str | None:
        """Why it is not kept; None where it is."""
        busy = self.others_busy
        if busy is None:
            return "whether this host was at rest cannot be told: /proc/stat does not say; so nothing was kept"
        if busy > OTHERS_MAX:
            return (
                f"this host was not at rest: other processes kept its cores {busy:.0%} busy, expected at most "
                f"{OTHERS_MAX:.0%}; stop them (`top` shows them) and calibrate again; nothing was kept"
            )
        for meter, outcome in zip(self.meters, self.outcomes, strict=True):
            name = meter.device.name
            if isinstance(outcome, str):
                return f"{name} could not be watched: {outcome}; nothing was kept"
            if outcome.error_watts > ERROR_MAX * outcome.watts:
                return (
                    f"{name} was not at rest: {outcome.watts:.3g} W with a standard error of {outcome.error_watts:.2g} W, "
                    f"expected at most {ERROR_MAX:.0%}; find what uses it, or watch longer with --seconds; nothing was kept"
                )
        return None

    def calibrations(self) -> list[Calibration]:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return [
            Calibration(
                device=meter.device.name,
                reader=meter.device.reader,
                identity=meter.device.identity,
                source=meter.device.source,
                watts=outcome.watts,
                error_watts=outcome.error_watts,
                seconds=outcome.seconds,
                tick_seconds=meter.device.tick_s,
                loaded=self.loaded,
                others_busy=self.others_busy or 0.0,
                measured_at=now,
                joulebox=joulebox.__version__,
            )
            for meter, outcome in zip(self.meters, self.outcomes, strict=True)
            if isinstance(outcome, Rested)
        ]


def calibrate(
    packages: Annotated[
        list[Path] | None,
        typer.Argument(help="Model packages to have in memory meanwhile.", metavar="PACKAGE", show_default=False),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="To watch this host at rest.")] = SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Measure what this host's devices use at rest, for the server to tell from what models use."""
    try:
        sources = with_ticks(open_sources(os.environ))
    except ValueError as error:
        raise SettingError(str(error)) from error
    meters = [meter for meter in sources.meters if meter.device.kind != "model"]
    if not meters:
        reasons = "; ".join(f"{missing.reader}: {missing.reason}" for missing in sources.unavailable)
        raise FailedError(f"this host has nothing that measures energy, so there is nothing to calibrate: {reasons}")
    candidates = [_in_memory(path) for path in packages or []]
    state = open_state(os.environ)
    utilisation = Utilisation(os.environ)
    with time_bar("at rest", math.prod(chunks_of(meters, seconds))) as say:
        outcomes = watch_rest(meters, seconds, say=say)
    watched = Watched(meters, outcomes, utilisation.others(), [_named(each) for each in candidates])
    kept, refused = _keep(watched, state)
    if as_json:
        content = _content(watched, state.host.facts, kept, refused)
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(watched, kept)
    if refused:
        raise FailedError(refused)


def _keep(watched: Watched, state: State) -> tuple[str | None, str | None]:
    """Where it is kept, or why it is not."""
    if watched.refused:
        return None, watched.refused
    try:
        return str(keep_calibrations(state, watched.calibrations())), None
    except StateError as error:
        return None, str(error)


def _in_memory(path: Path) -> Candidate:
    """The variant that serving would choose, warm.

    Raises:
        PackageError: it is no package.
        FailedError: no variant works here.
    """
    package = open_package(path)
    reasons: list[str] = []
    for candidate in open_candidates(package, ladder(package, load_settings(os.environ, Path.cwd()))):
        if isinstance(candidate, Candidate):
            Driver(candidate.runner(1), 1)
            return candidate
        rung, why = candidate
        reasons.append(f"{rung.name}: {why}")
    raise FailedError(f"no variant of {package.manifest.name} works on this host: {'; '.join(reasons)}")


def _named(candidate: Candidate) -> str:
    manifest = candidate.package.manifest
    return f"{manifest.name} {manifest.version} ({candidate.rung.name})"


def _content(watched: Watched, host: dict[str, Any], kept: str | None, refused: str | None) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "schema": JSON_SCHEMA,
        "joulebox": joulebox.__version__,
        "host": host,
        "loaded": watched.loaded,
        "others_busy": watched.others_busy,
        "kept": kept,
        "refused": refused,
        "devices": [
            {
                "device": meter.device.name,
                "reader": meter.device.reader,
                "source": meter.device.source,
                "tick_seconds": meter.device.tick_s,
                "idle_watts": outcome.watts if isinstance(outcome, Rested) else None,
                "error_watts": outcome.error_watts if isinstance(outcome, Rested) else None,
                "seconds": outcome.seconds if isinstance(outcome, Rested) else None,
                "reason": outcome if isinstance(outcome, str) else None,
            }
            for meter, outcome in zip(watched.meters, watched.outcomes, strict=True)
        ],
    }


def _print(watched: Watched, kept: str | None) -> None:
    console = Console()
    table = Table(
        "device", "reader", "source", "tick", "at rest", caption="± one standard error", caption_justify="left"
    )
    for meter, outcome in zip(watched.meters, watched.outcomes, strict=True):
        device = meter.device
        tick = "" if device.tick_s is None else f"{device.tick_s * 1000:.3g} ms"
        said = f"{plus_minus(outcome.watts, outcome.error_watts)} W" if isinstance(outcome, Rested) else "unknown"
        table.add_row(device.name, device.reader, device.source, tick, said)
    console.print(table)
    busy = "unknown" if watched.others_busy is None else f"{watched.others_busy:.1%}"
    console.print(f"other processes kept the cores busy: {busy}", highlight=False)
    console.print(f"in memory: {', '.join(watched.loaded) or 'no model'}", highlight=False, markup=False)
    if kept:
        console.print(f"kept in {kept}", highlight=False, markup=False, soft_wrap=True)
