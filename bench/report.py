"""The figures as tables: for a terminal, and as the page docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from bench.load import median
from bench.openloop import CONNECTIONS_MAX
from bench.results import Accounting, Compared, Drift, Overloaded
from bench.servers import JOULEBOX
from bench.targets import Target


@dataclass(frozen=True)
class Table:
    title: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def compared(title: str, measured: Compared, reference: str, *more: str, at_once: str = "connections") -> Table:
    """Requests/s, their ratio to the reference's, and Joulebox's to theirs."""
    own = next((row.server for row in measured.rows if row.server.startswith(JOULEBOX)), JOULEBOX)
    rows: list[tuple[str, ...]] = []
    for row in measured.rows:
        load = row.load
        figures = (
            f"{load.requests_per_s:,.0f}",
            f"{min(row.rounds_per_s):,.0f}–{max(row.rounds_per_s):,.0f}",
            _shown(measured.ratio(row.server, reference, row.connections)),
            _shown(measured.ratio(own, row.server, row.connections)),
            f"{load.p50_ms:.2f}",
            f"{load.p99_ms:.2f}",
            f"{load.cpu_us_per_request:,.0f}",
            f"{load.errors:.0f}",
        )
        rows.append((str(row.connections), row.server, row.wire, *figures))
    missing = tuple(f"{name}: not run: {reason}" for name, reason in measured.not_run.items())
    figures = (
        "requests/s",
        "of rounds",
        f"÷ {reference}",
        f"{own} ÷ it",
        "p50 ms",
        "p99 ms",
        "server CPU µs/request",
        "errors",
    )
    return Table(title, (measured.model, *more, *missing), (at_once, "server", "format", *figures), rows)


def starts(measured: Compared) -> Table:
    rows = [(each.server, f"{each.ready_s:.1f}", f"{each.resident_mb:.0f}") for each in measured.starts]
    notes = (
        "From the command to the first right answer; resident memory of all its processes then, pages that they share counted in each.",
    )
    return Table("Start", notes, ("server", "ready after s", "resident MB"), rows)


def overloads(measured: dict[str, Overloaded | str]) -> Table:
    notes = [f"{name}: not run: {reason}" for name, reason in measured.items() if isinstance(reason, str)]
    rows: list[tuple[str, ...]] = []
    for name, each in measured.items():
        if isinstance(each, str):
            continue
        seen = each.seen
        rows.append(
            (
                name,
                f"{each.capacity_per_s:,.0f}",
                f"{seen.offered_per_s:,.0f}",
                f"{seen.sent_per_s:,.0f}",
                f"{seen.goodput_per_s:,.0f}",
                _ratio(seen.goodput_per_s, each.capacity_per_s),
                _pair(seen.accepted_p50_ms, seen.accepted_p99_ms),
                f"{seen.refused_per_s:,.0f}",
                _pair(seen.refused_p50_ms, seen.refused_p99_ms),
                f"{seen.expired_per_s:,.0f}",
                f"{seen.not_sent:,.0f} / {seen.broken:,.0f} / {seen.unanswered:,.0f}",
                f"{seen.connections:.0f}",
            )
        )
    text = (
        "An open loop at three times what a closed loop got just before, each request with a deadline of one second. "
        f"A request that finds {CONNECTIONS_MAX:,} connections busy is not sent."
    )
    columns = ("model", "peak /s", "due /s", "sent /s", "in time /s", "÷ peak", "accepted p50 / p99 ms", "refused /s")
    return Table(
        "Overload",
        (text, *notes),
        (*columns, "refusal p50 / p99 ms", "of them expired /s", "not sent / broken / unanswered", "connections"),
        rows,
    )


def accounting(measured: dict[tuple[int, int], Accounting | str]) -> Table:
    """By workers and connections: the ratio, and how sure it is."""
    notes = [
        f"{workers} workers, {connections} connections: not run: {each}"
        for (workers, connections), each in measured.items()
        if isinstance(each, str)
    ]
    seen = [each for each in measured.values() if not isinstance(each, str)]
    rows: list[tuple[str, ...]] = []
    for each in seen:
        on, off = median(each.on), median(each.off)
        rates = f"{on.requests_per_s:,.0f}", f"{off.requests_per_s:,.0f}", f"{each.ratio:.3f} ± {each.error:.3f}"
        cpu = f"{on.cpu_us_per_request:,.1f}", f"{off.cpu_us_per_request:,.1f}"
        rows.append((str(each.workers), str(each.connections), *rates, str(len(each.on)), *cpu))
    text = (
        "The same server with a counter that moves and with every source switched off, both under load and awake in turns of "
        "50 ms; ± one standard error of the median over the rounds. A turn begins with a reading that is due: by its own time "
        "the server reads more often than if it were never stopped."
    )
    columns = ("workers", "connections", "on: requests/s", "off", "on ÷ off", "rounds", "on: CPU µs/request", "off")
    return Table("Accounting on ÷ off", (*(each.model for each in seen[:1]), text, *notes), columns, rows)


def memory(measured: Drift | str) -> Table:
    if isinstance(measured, str):
        return Table("Memory over requests", (f"{JOULEBOX}: not run: {measured}",), ("requests", "resident MB"), [])
    step = max(1, len(measured.requests) // 10)
    picked = sorted({*range(0, len(measured.requests), step), len(measured.requests) - 1})
    rows = [(f"{measured.requests[index]:,}", f"{measured.resident_mb[index]:.1f}") for index in picked]
    return Table(
        "Memory over requests", ("All processes of joulebox, the small model.",), ("requests", "resident MB"), rows
    )


def targets(measured: Sequence[Target]) -> Table:
    words = {True: "met", False: "not met", None: "—"}
    rows = [(each.text, each.measured, words[each.met]) for each in measured]
    return Table("Targets", (), ("target", "measured", ""), rows)


def machine() -> str:
    """Processor, cores, system and the versions that matter."""
    named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("joulebox", "onnxruntime", "uvicorn", "uvloop"))
    cores = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    day = datetime.now(timezone.utc).strftime("%B %Y")
    return f"{cores} cores of {named[1] if named else platform.machine()}, load generator included; {python}, {libraries}; {day}"


def show(tables: Sequence[Table], console: Console) -> None:
    for table in tables:
        rendered = RichTable(*table.columns, title=table.title, title_justify="left", caption="\n".join(table.notes))
        rendered.caption_justify = "left"
        for row in table.rows:
            rendered.add_row(*row)
        console.print(rendered)


def page(tables: Sequence[Table], command: str, about: str, how: str) -> str:
    """The whole page in Markdown."""
    parts = [f"# Serving speed\n\n```sh\n{command}\n```\n\n{how}\n\nMeasured on {about}.\n"]
    for table in tables:
        notes = "".join(f"{note}\n\n" for note in table.notes)
        lines = [table.columns, ("---",) * len(table.columns), *table.rows]
        parts.append(f"## {table.title}\n\n{notes}" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def _shown(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one is not None and other else "—"


def _pair(one: float, other: float) -> str:
    return "—" if isnan(one) else f"{one:.1f} / {other:.1f}"
