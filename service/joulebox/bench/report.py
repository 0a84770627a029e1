"""Results for people: tables, a plot of latencies on a logarithmic axis, and what has to be known beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from joulebox.bench.mlperf import OFFICIAL_S, Summary
from joulebox.bench.result import QUANTILES, Energy, Result
from joulebox.bench.words import load_name, milliseconds, scaled_joules

WIDTH = 48  # of the plot's bars, in characters
EIGHTHS = " ▏▎▍▌▋▊▉"
CLIENT_BUSY = 0.85  # of a core: from here on the load generator may be what limits
BY = {"ledger": "ledger", "answers": "answers (provisional)", "none": ""}

Latencies = Mapping[str, float | None]


def report(results: Sequence[Result]) -> RenderableType:
    """All steps of closed or open loops."""
    latencies = {load_name(each.connections, each.rate): each.latency_ms for each in results}
    said = [note for each in results for note in notes(each)]
    return Group(_loads(results), *plot(latencies), _costs(results), *map(Text, said))


def scenario_report(summary: Summary) -> RenderableType:
    """One of MLPerf's scenarios."""
    table = _table("MLPerf scenario", "metric", "value", "valid", *QUANTILES)
    latencies = [milliseconds(summary.latency_ms.get(name)) for name in QUANTILES]
    value = "" if summary.value is None else f"{summary.value:,.4g}" if summary.value < 1e4 else f"{summary.value:,.0f}"
    table.add_row(summary.scenario, summary.metric, value, "yes" if summary.valid else "NO", *latencies)
    return Group(
        table,
        *plot({"LoadGen": dict(summary.latency_ms), "requests": summary.request_latency_ms}),
        Text(f"energy per inference: {joules(summary.energy)}"),
        *map(Text, _scenario_notes(summary)),
    )


def _scenario_notes(summary: Summary) -> list[str]:
    asked = [f"{summary.queries:,} queries, {summary.samples:,} samples in {summary.seconds:.1f} s"]
    if summary.target_qps is not None:
        asked.append(f"{summary.target_qps:,.0f} a second asked for")
    if summary.target_latency_ms is not None:
        asked.append(f"99 % within {summary.target_latency_ms:g} ms asked for")
    if summary.interrupted:
        asked.append("stopped early, so LoadGen gives no result")
    said = ["; ".join(asked), *(f"LoadGen: {reason}" for reason in summary.reasons)]
    said += [f"{count:,} × {kind}: {summary.failed_said.get(kind, '')}" for kind, count in summary.failed.items()]
    said.append(
        "'valid' is what LoadGen says of its own limits in this run. It is no MLPerf result: that takes"
        f" {OFFICIAL_S} s at least, and MLPerf's models, data, accuracy and rules."
    )
    return said


def _loads(results: Sequence[Result]) -> Table:
    in_time = ["in time"] if any(each.goodput_per_s is not None for each in results) else []
    table = _table("load", "requests/s", *in_time, *QUANTILES, "max", "refused", "errors")
    for each in results:
        refused = int(each.refused["count"] or 0)
        table.add_row(
            load_name(each.connections, each.rate),
            f"{each.requests_per_s:,.0f}",
            *(f"{each.goodput_per_s or 0:,.0f}" for _ in in_time),
            *(milliseconds(each.latency_ms[name]) for name in (*QUANTILES, "max")),
            f"{refused:,}",
            f"{sum(each.errors.values()) - refused:,}",
        )
    return table


def _costs(results: Sequence[Result]) -> Table:
    """What the server says: where the time went, and the energy."""
    table = _table("load", "inferences/s", "queue", "compute", "energy per inference", caption="")
    for each in results:
        table.add_row(
            load_name(each.connections, each.rate),
            f"{each.inferences_per_s:,.0f}",
            *(milliseconds(each.server_ms.get(part)) or "not said" for part in ("queue", "compute")),
            joules(each.energy),
        )
    return table


def _table(*titles: str, caption: str = "latencies in ms") -> Table:
    table = Table(
        *titles,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption=caption or None,
        caption_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def plot(latencies: Mapping[str, Latencies]) -> list[Text]:
    """Bars from p50 to p99.9, over decades from the one below the least to the one above the greatest."""
    values = [value for each in latencies.values() for name in QUANTILES if (value := each.get(name))]
    if not values:
        return []
    low, high = math.floor(math.log10(min(values)) - 1e-9), math.ceil(math.log10(max(values)) + 1e-9)
    lines = [_axis(low, high)]
    for title, each in latencies.items():
        for name in QUANTILES:
            value = each.get(name)
            if value:
                share = (math.log10(value) - low) / (high - low)
                shown = title if name == "p50" else ""
                lines.append(Text.assemble(f"{shown:<14} {name:>5} ", (bar(share), "cyan"), f" {milliseconds(value)}"))
    return [*lines, Text()]


def bar(share: float) -> str:
    """A bar of that share of the width, to an eighth of a character."""
    whole, part = divmod(round(share * WIDTH * 8), 8)
    return "█" * whole + EIGHTHS[part].strip()


def _axis(low: int, high: int) -> Text:
    line = [" "] * (WIDTH + 8)
    for decade in range(low, high + 1):
        place = round((decade - low) / (high - low) * WIDTH)
        label = f"|{10.0**decade:g}"
        line[place : place + len(label)] = label
    return Text(" " * 21 + "".join(line).rstrip() + " ms", style="dim")


def notes(result: Result) -> list[str]:
    """What a reader of the figures has to know."""
    where = load_name(result.connections, result.rate)
    said = [f"{count:,} × {kind}: {result.errors_said.get(kind, '')}" for kind, count in result.errors.items()]
    if result.refused["count"]:
        said.append(f"refusals took {milliseconds(result.refused['p99'])} ms at p99")
    if result.late:
        said.append(
            f"{result.late:,} requests were sent late, by up to {result.late_max_ms:,.0f} ms; their latency counts from"
            " when they were due"
        )
    if result.unsent:
        said.append(
            f"{result.unsent:,} requests were due and never sent, since all {result.connections} connections were"
            " waiting; the latencies leave them out"
        )
    if result.client_cpu >= CLIENT_BUSY:
        said.append(f"this load generator used {result.client_cpu:.2f} cores: the figures may be its own limit")
    if result.interrupted:
        said.append(f"stopped after {result.seconds:.1f} s")
    return [f"{where}: {note}" for note in said]


def joules(energy: Energy) -> str:
    """With the source; `none` where they are not known."""
    if energy.joules_per_inference is None:
        return energy.source
    return f"{scaled_joules(energy.joules_per_inference)}, {energy.source} by {BY[energy.by]}"
