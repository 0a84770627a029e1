"""MLPerf Inference's scenarios, driven by MLCommons' own load generator over our connections.

https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from joulebox.bench.errors import BenchError, UsageError
from joulebox.bench.loadgen import Sut, load_loadgen, percentiles_ms, read_log
from joulebox.bench.result import Energy, Result, latency_ms
from joulebox.bench.run import Session, Step, Watch, close_all, measure_step, run_until, spent, stopping_on_signals
from joulebox.bench.tally import Tally
from joulebox.bench.target import read_ledger

Scenario = Literal["SingleStream", "MultiStream", "Server", "Offline"]
OFFICIAL_S = 600  # the least duration of a run by MLPerf's rules
SERVER_SHARE = 0.5  # of the requests/s that the probe found, where no rate is asked for


@dataclass(frozen=True)
class Trial:
    """A scenario, and how long and hard."""

    scenario: Scenario
    seconds: float
    queries: int
    connections: int
    batch: int
    target_qps: float | None
    """Of Server: queries that are due per second; of Offline: samples per second that are expected."""
    target_latency_s: float
    """Of Server: what 99 % have to stay below."""
    seed: int
    out: Path | None
    """Where LoadGen's logs stay; nowhere, where there is none."""


@dataclass(frozen=True)
class Summary:
    """What LoadGen found, in its words, beside what this client saw. Latencies in ms; None is unknown."""

    scenario: Scenario
    metric: str
    value: float | None
    valid: bool
    reasons: list[str]
    """Why the run is not valid, or what LoadGen advises."""
    latency_ms: dict[str, float]
    queries: int
    samples: int
    seconds: float
    connections: int
    batch: int
    target_qps: float | None
    target_latency_ms: float | None
    failed: dict[str, int]
    failed_said: dict[str, str]
    request_latency_ms: dict[str, float | None]
    """By this client's clock, without LoadGen's threads."""
    energy: Energy
    loadgen_version: str
    interrupted: bool


METRICS: dict[Scenario, tuple[str, str, float]] = {
    "SingleStream": ("p90 latency, ms", "result_90.00_percentile_latency_ns", 1e-6),
    "MultiStream": ("p99 query latency, ms", "result_99.00_percentile_per_query_latency_ns", 1e-6),
    "Server": ("queries/s", "result_completed_samples_per_sec", 1.0),
    "Offline": ("samples/s", "result_samples_per_second", 1.0),
}


async def run_trial(session: Session, trial: Trial, watch: Watch) -> Summary | None:
    """Runs the scenario, after a second's probe that also warms the server up. None where the probe was interrupted.

    Raises:
        BenchError: the server does not answer.
        UsageError: the model takes no batches.
    """
    loadgen, stop = load_loadgen(), asyncio.Event()
    if trial.batch > 1 and not all(spec.shape[:1] == [-1] for spec in session.target.inputs):
        raise UsageError(f"--batch {trial.batch}: model {session.target.name!r} takes no batches; leave it at 1")
    with stopping_on_signals(stop):
        probe = await measure_step(session, Step(trial.connections), watch, stop)
        if probe is None or stop.is_set():
            return None
        if not probe.requests_per_s:
            raise BenchError(
                f"the server answered no request of the probe: {probe.errors_said or 'they take too long'}"
            )
        return await _run(session, trial, _Settings(loadgen, trial, probe), watch, stop)


async def _run(session: Session, trial: Trial, settings: _Settings, watch: Watch, stop: asyncio.Event) -> Summary:
    before = await read_ledger(session.control, session.address, session.target)
    connections = [session.dial() for _ in range(trial.connections)]
    started_s = time.perf_counter()
    tally = Tally(started_s, started_s + trial.seconds)
    sut = Sut(settings.loadgen, session, trial.batch, connections, tally)
    with _folder(trial.out) as logs:
        try:
            await run_until(stop, sut.run(settings.settings, logs), lambda: watch(Step(trial.connections), tally))
        finally:
            await close_all(connections)
        seconds = time.perf_counter() - started_s
        log = {} if stop.is_set() else read_log(logs)
    metric, key, scale = METRICS[trial.scenario]
    value = log.get(key)
    return Summary(
        scenario=trial.scenario,
        metric=metric,
        value=None if value is None else value * scale,
        valid=log.get("result_validity") == "VALID" and not tally.errors,
        reasons=_reasons(log, tally),
        latency_ms=percentiles_ms(log),
        queries=int(log.get("result_query_count", 0)),
        samples=sut.samples,
        seconds=seconds,
        connections=trial.connections,
        batch=trial.batch,
        target_qps=settings.target_qps,
        target_latency_ms=trial.target_latency_s * 1e3 if trial.scenario == "Server" else None,
        failed=tally.errors,
        failed_said=tally.said,
        request_latency_ms=latency_ms(tally.latency),
        energy=await spent(session, before, tally),
        loadgen_version=str(log.get("loadgen_version", "")),
        interrupted=stop.is_set(),
    )


class _Settings:
    """LoadGen's own, which generates its queries beforehand from what it is told to expect."""

    def __init__(self, loadgen: Any, trial: Trial, probe: Result) -> None:
        self.loadgen = loadgen
        self.target_qps = trial.target_qps
        if trial.target_qps is None and trial.scenario in ("Server", "Offline"):
            self.target_qps = probe.requests_per_s * (SERVER_SHARE if trial.scenario == "Server" else trial.batch)
        settings = loadgen.TestSettings()
        settings.scenario = getattr(loadgen.TestScenario, trial.scenario)
        settings.mode = loadgen.TestMode.PerformanceOnly
        settings.min_duration_ms = int(trial.seconds * 1e3)
        settings.min_query_count = trial.queries
        settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = trial.seed
        settings.single_stream_expected_latency_ns = int(1e9 / probe.requests_per_s)
        settings.multi_stream_expected_latency_ns = int(
            1e9 * settings.multi_stream_samples_per_query / probe.requests_per_s
        )
        settings.server_target_latency_ns = int(trial.target_latency_s * 1e9)
        if self.target_qps is not None:
            settings.server_target_qps = settings.offline_expected_qps = self.target_qps
        self.settings = settings


@contextmanager
def _folder(out: Path | None) -> Generator[Path]:
    """Where LoadGen writes; a temporary folder unless it is to be kept."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="joulebox-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}") from error
    yield out


def _reasons(log: dict[str, Any], tally: Tally) -> list[str]:
    said = [str(log.get(key) or "").strip() for key in ("result_invalid_reason", "early_stopping_result")]
    if log.get("result_perf_constraints_met") is False:
        said.insert(0, "more than 1 % of the queries took longer than the target latency")
    if tally.errors:
        said.insert(0, f"{sum(tally.errors.values())} requests failed")
    return [" ".join(reason.split()) for reason in said if reason]
