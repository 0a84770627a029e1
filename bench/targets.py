"""What the project set itself, held against what was measured. Nothing fails here: a table says met or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isnan

from bench.results import Accounting, Compared, Drift, Overloaded
from bench.sections import ECHO, JOULEBOX_GRPC
from bench.servers import JOULEBOX, JOULEBOX_JSON, RAW

RAW_RATIO_MIN = {"small": 0.8, "medium": 0.97}
PEER_RATIO_MIN = 3.0
PYTRITON_AT_32_MIN = 2.0
P99_RATIO_MAX = 2.0
JSON_RATIO_MIN = 0.5
GRPC_RATIO_MIN = 0.6
READY_S_MAX = 6.0
RESIDENT_MB_MAX = 300.0
GROWTH_MAX = 0.02  # of resident memory between the first tenth of the requests and the end: flat, within noise
GOODPUT_MIN = 0.9
ACCOUNTED_RATIO_MIN = 0.99
REFUSAL_MS_MAX = 10.0


@dataclass(frozen=True)
class Target:
    """`met` is None where it was not measured."""

    text: str
    measured: str
    met: bool | None


def at_least(text: str, actual: float | None, least: float) -> Target:
    if actual is None:
        return Target(f"{text} ≥ {least:g}", "not measured", None)
    return Target(f"{text} ≥ {least:g}", f"{actual:.2f}", actual >= least)


def at_most(text: str, actual: float | None, most: float, unit: str) -> Target:
    if actual is None:
        return Target(f"{text} ≤ {most:g}{unit}", "not measured", None)
    if isnan(actual):
        return Target(f"{text} ≤ {most:g}{unit}", "there were none", None)
    return Target(
        f"{text} ≤ {most:g}{unit}",
        f"{round(actual):,}{unit}" if actual >= 100 else f"{actual:.3g}{unit}",
        actual <= most,
    )


def of_models(which: str, compared: Compared, connections: tuple[int, ...]) -> Iterator[Target]:
    """Beside raw uvicorn."""
    for count in connections:
        text = f"{which}, {count} connections: requests/s ÷ raw uvicorn's"
        yield at_least(text, compared.ratio(JOULEBOX, RAW, count), RAW_RATIO_MIN[which])


def of_tail(compared: Compared) -> Target:
    own, limit = compared.load(JOULEBOX, 32), compared.load(RAW, 32)
    actual = own.p99_ms / limit.p99_ms if own and limit else None
    return at_most("small, 32 connections: p99 ÷ raw uvicorn's", actual, P99_RATIO_MAX, "")


def of_peers(compared: Compared, names: tuple[str, ...], connections: tuple[int, ...]) -> Iterator[Target]:
    for name in names:
        for count in connections:
            least = PYTRITON_AT_32_MIN if (name, count) == ("pytriton", 32) else PEER_RATIO_MIN
            text = f"small, {count} connections: requests/s ÷ {name}'s"
            yield at_least(text, compared.ratio(JOULEBOX, name, count), least)


def of_json(compared: Compared, connections: tuple[int, ...]) -> Iterator[Target]:
    for count in connections:
        text = f"small as JSON, {count} connections: requests/s ÷ binary's"
        yield at_least(text, compared.ratio(JOULEBOX_JSON, JOULEBOX, count), JSON_RATIO_MIN)


def of_grpc(compared: Compared, calls: tuple[int, ...]) -> Iterator[Target]:
    for count in calls:
        text = f"gRPC unary, {count} calls at once: requests/s ÷ a bare echo's"
        yield at_least(text, compared.ratio(JOULEBOX_GRPC, ECHO, count), GRPC_RATIO_MIN)


def of_accounting(workers: int, connections: int, measured: Accounting | str) -> Target:
    how = f"{connections} connections" + (f", {workers} workers" if workers > 1 else "")
    text = f"small, {how}: requests/s with accounting ÷ without"
    if isinstance(measured, str):
        return at_least(text, None, ACCOUNTED_RATIO_MIN)
    target = at_least(text, measured.ratio, ACCOUNTED_RATIO_MIN)
    return replace(target, measured=f"{measured.ratio:.3f} ± {measured.error:.3f}")


def of_overload(which: str, measured: Overloaded | str) -> Iterator[Target]:
    seen = None if isinstance(measured, str) else measured
    goodput = seen and seen.seen.goodput_per_s / seen.capacity_per_s
    deadline_ms = 1e3 * seen.deadline_s if seen else 1e3
    yield at_least(f"{which} at 3 × capacity: goodput ÷ peak", goodput, GOODPUT_MIN)
    yield at_most(
        f"{which} at 3 × capacity: accepted p99, the deadline", seen and seen.seen.accepted_p99_ms, deadline_ms, " ms"
    )
    yield at_most(f"{which} at 3 × capacity: refusals, p99", seen and seen.seen.refused_p99_ms, REFUSAL_MS_MAX, " ms")


def of_memory(measured: Drift | str) -> Iterator[Target]:
    seen = None if isinstance(measured, str) else measured
    yield at_most("ready after", seen and seen.ready_s, READY_S_MAX, " s")
    yield at_most("resident memory, small model, most", seen and max(seen.resident_mb), RESIDENT_MB_MAX, " MB")
    growth = seen and growth_of(seen)
    total = f"{seen.requests[-1]:,}" if seen else "200,000"
    if growth is None:
        yield Target(f"resident memory flat over {total} requests", "not measured", None)
    else:
        yield Target(f"resident memory flat over {total} requests", f"{100 * growth:+.1f} %", growth <= GROWTH_MAX)


def growth_of(drift: Drift) -> float:
    """From the first sample past a tenth of the requests, when caches have filled, to the last, relative."""
    early = next(index for index, done in enumerate(drift.requests) if done >= drift.requests[-1] / 10)
    return drift.resident_mb[-1] / drift.resident_mb[early] - 1
