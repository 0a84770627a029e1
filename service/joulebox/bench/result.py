"""The figures of one measurement. What is not known is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from joulebox.bench.histogram import Histogram
from joulebox.bench.tally import Tally
from joulebox.bench.target import Ledger

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True)
class Energy:
    """Joules per inference, without the device's idle power, and where they come from."""

    joules_per_inference: float | None
    source: str
    by: Literal["ledger", "answers", "none"]
    """The difference of the server's ledger, or the provisional figures on its answers."""


UNKNOWN = Energy(None, "none", "none")


@dataclass(frozen=True)
class Result:
    """One closed loop's or open loop's figures. Latencies are in ms, and of requests answered with success."""

    loop: Literal["closed", "open"]
    connections: int
    rate: float | None
    """Requests per second that were due, in an open loop."""
    seconds: float
    requests: int
    warmup_requests: int
    requests_per_s: float
    inferences_per_s: float
    latency_ms: dict[str, float | None]
    errors: dict[str, int]
    errors_said: dict[str, str]
    refused: dict[str, float | None]
    """How many, and the latency of the refusals in ms."""
    goodput_per_s: float | None
    """Answers within the deadline, where there is one."""
    late: int
    late_max_ms: float
    unsent: int
    server_ms: dict[str, float]
    """Means of what `Server-Timing` says."""
    energy: Energy
    client_cpu: float
    """Of this process, in cores: near 1, the figures are the load generator's own limits."""
    interrupted: bool


def latency_ms(histogram: Histogram) -> dict[str, float | None]:
    quantiles = {name: in_ms(histogram.quantile(fraction)) for name, fraction in QUANTILES.items()}
    known = histogram.count > 0
    return {**quantiles, "max": in_ms(histogram.max_s if known else None), "mean": in_ms(histogram.mean_s)}


def in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def energy(before: Ledger | None, after: Ledger | None, tally: Tally) -> Energy:
    """From the ledger where it counted inferences meanwhile, else from the answers."""
    if after is not None:
        joules = after.joules - (before.joules if before else 0.0)
        inferences = after.inferences - (before.inferences if before else 0)
        if inferences > 0 and joules >= 0:
            return Energy(joules / inferences, " and ".join(after.sources), "ledger")
    stated = tally.stated
    if stated.count and stated.source:
        return Energy(stated.total_joules / stated.count, stated.source, "answers")
    return UNKNOWN


def result(  # noqa: PLR0913  # all that the figures depend on
    tally: Tally,
    connections: int,
    rate: float | None,
    seconds: float,
    batch: int,
    *,
    deadline: bool,
    energy: Energy,
    client_cpu: float,
    interrupted: bool,
) -> Result:
    """The figures of a tally after `seconds`."""
    refused = latency_ms(tally.refused)
    return Result(
        loop="closed" if rate is None else "open",
        connections=connections,
        rate=rate,
        seconds=seconds,
        requests=tally.requests,
        warmup_requests=tally.warmup,
        requests_per_s=tally.answered / seconds,
        inferences_per_s=tally.answered * batch / seconds,
        latency_ms=latency_ms(tally.latency),
        errors=dict(sorted(tally.errors.items())),
        errors_said=tally.said,
        refused={"count": tally.refused.count, "p50": refused["p50"], "p99": refused["p99"]},
        goodput_per_s=tally.in_time / seconds if deadline else None,
        late=tally.late,
        late_max_ms=tally.late_max_s * 1e3,
        unsent=tally.unsent,
        server_ms=tally.timings.means_ms(),
        energy=energy,
        client_cpu=client_cpu,
        interrupted=interrupted,
    )
