"""`joulebox bench`."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import uvloop
from rich.console import Console

import joulebox
from joulebox.bench.arrivals import Arrivals
from joulebox.bench.errors import BenchError, UsageError
from joulebox.bench.inputs import parse_shape
from joulebox.bench.loadgen import load_loadgen
from joulebox.bench.mlperf import Scenario, Summary, Trial, run_trial
from joulebox.bench.progress import live_progress
from joulebox.bench.report import report, scenario_report
from joulebox.bench.result import Result
from joulebox.bench.run import Plan, Protocol, Session, Step, measure, open_session
from joulebox.bench.server import free_port, served
from joulebox.package import open_package
from joulebox.runtime.golden import read_golden

CONNECTIONS = (1, 8, 32)
OPEN_CONNECTIONS = 512  # an open loop's bound, and more than the requests that a server lets wait
SCENARIO_CONNECTIONS = {"SingleStream": 1, "MultiStream": 8, "Server": 64, "Offline": 32}
LOOP_S, SCENARIO_S = 5.0, 10.0
PROBE_S = 1.0
SPARE_FILES = 64
INTERRUPTED = 130
JSON_SCHEMA = 1


def bench(  # noqa: PLR0913, PLR0917  # a command's options
    target: Annotated[
        str,
        typer.Argument(help="http://HOST:PORT of a server, or a model package to serve meanwhile.", metavar="TARGET"),
    ],
    model: Annotated[str | None, typer.Option(help="Which of the server's models, where it has several.")] = None,
    connections: Annotated[
        list[int] | None,
        typer.Option(min=1, max=10_000, help="Closed loop over so many; may be given again. Default: 1, 8, 32."),
    ] = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(min=0.001, help="Open loop: requests due per second, come what may; may be given again."),
    ] = None,
    arrivals: Annotated[Arrivals, typer.Option(help="In an open loop.")] = "poisson",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Of each measurement. Default: 5, or 10 of a scenario.")
    ] = None,
    warmup: Annotated[float, typer.Option(min=0.0, help="Seconds before it, which don't count.")] = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Samples in each request.")] = 1,
    protocol: Annotated[Protocol, typer.Option(help="Tensors over HTTP as bytes or JSON, or over gRPC.")] = "binary",
    grpc_port: Annotated[int | None, typer.Option(min=1, max=65535, help="The server's, for gRPC.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds after which a request has failed.")] = 10.0,
    deadline: Annotated[
        float | None, typer.Option(min=0.001, help="In ms: count the answers that come in time.")
    ] = None,
    shape: Annotated[list[str] | None, typer.Option(help="NAME:SIZE,SIZE,... of random samples of an input.")] = None,
    data: Annotated[Path | None, typer.Option(help="npz file of samples, instead of goldens or random ones.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of arrivals and random samples.")] = 0,
    header: Annotated[list[str] | None, typer.Option(help="NAME:VALUE to send with each request, as a key.")] = None,
    scenario: Annotated[Scenario | None, typer.Option(help="Of MLPerf Inference, driven by its LoadGen.")] = None,
    target_qps: Annotated[
        float | None, typer.Option(min=0.001, help="Scenario Server: queries/s; Offline: samples/s expected.")
    ] = None,
    target_latency_ms: Annotated[float, typer.Option(min=0.001, help="Scenario Server: what 99 % stay below.")] = 100.0,
    queries: Annotated[int, typer.Option(min=1, help="Scenario: at least so many.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Scenario: folder that keeps LoadGen's logs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Measure how fast a model answers, how many requests at once, and what each inference costs."""
    plan = Plan(
        model=model,
        protocol=protocol,
        steps=_steps(connections or [], rate or []),
        arrivals=arrivals,
        seconds=seconds or LOOP_S,
        warmup_s=warmup,
        timeout_s=timeout,
        deadline_s=None if deadline is None else deadline / 1e3,
        batch=batch,
        seed=seed,
        shapes=dict(parse_shape(text) for text in shape or []),
        data=data,
        grpc_port=grpc_port or 0,
        headers=tuple(_header(text) for text in header or []),
    )
    trial = None
    if scenario is not None:
        load_loadgen()  # where it is missing, that is said before a server starts
        trial = Trial(
            scenario=scenario,
            seconds=seconds or SCENARIO_S,
            queries=queries,
            connections=max(connections or [SCENARIO_CONNECTIONS[scenario]]),
            batch=batch,
            target_qps=target_qps,
            target_latency_s=target_latency_ms / 1e3,
            seed=seed,
            out=out,
        )
        plan = replace(plan, steps=(), batch=1, seconds=PROBE_S)
    _allow_files(max(step.connections for step in plan.steps) if trial is None else trial.connections)
    with _server(target, plan) as (url, known):
        session, found = uvloop.run(_measure(url, known, trial))
    _finish(session, found, as_json=as_json)


async def _measure(url: str, plan: Plan, trial: Trial | None) -> tuple[Session, list[Result] | Summary | None]:
    async with open_session(plan, url) as session:
        with live_progress(Console(stderr=True)) as watch:
            if trial is not None:
                return session, await run_trial(session, trial, watch)
            return session, [result async for result in measure(session, watch)] or None


def _finish(session: Session, found: list[Result] | Summary | None, *, as_json: bool) -> None:
    """Prints what was found, and ends with another status than 0 where it is not all that was asked for."""
    if found is None:
        raise typer.Exit(INTERRUPTED)
    if as_json:
        sys.stdout.write(orjson.dumps(_content(session, found), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(session, found)
    if isinstance(found, Summary) and found.interrupted:
        sys.stdout.flush()
        os._exit(INTERRUPTED)  # LoadGen's thread still runs, and nothing else ends it
    if isinstance(found, list) and found[-1].interrupted:
        raise typer.Exit(INTERRUPTED)
    if not _any_answer(found):
        raise BenchError("no request was answered in time, so there are no figures")


@contextmanager
def _server(target: str, plan: Plan) -> Generator[tuple[str, Plan]]:
    """The server's URL; a package is served meanwhile, and the inputs of its goldens are what is sent."""
    if "://" in target:
        if plan.protocol == "grpc" and not plan.grpc_port:
            raise UsageError("--protocol grpc: name the server's port with --grpc-port")
        yield target, plan
        return
    package = open_package(Path(target))
    samples, _ = read_golden(package)
    port = (plan.grpc_port or free_port()) if plan.protocol == "grpc" else 0
    with served(package.folder, grpc_port=port) as url:
        yield url, replace(plan, model=package.manifest.name, samples=samples, grpc_port=port)


def _steps(connections: list[int], rates: list[float]) -> tuple[Step, ...]:
    if rates:
        return tuple(Step(max(connections, default=OPEN_CONNECTIONS), rate) for rate in rates)
    return tuple(Step(number) for number in connections or CONNECTIONS)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable() or not text.isascii():
        raise UsageError(f"--header {name[:40]!r}: expected NAME:VALUE of printable ASCII characters")
    return name.strip(), value.strip()


def _allow_files(connections: int) -> None:
    """Raises this process's limit of open files as far as the connections need.

    Raises:
        UsageError: the system does not let it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise UsageError(
                f"{connections} connections: this process may open {hard} files (ulimit -n); ask for fewer"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _content(session: Session, found: list[Result] | Summary) -> dict[str, Any]:
    """What `--json` prints."""
    plan, target = session.plan, session.target
    about = {
        "schema": JSON_SCHEMA,
        "joulebox": joulebox.__version__,
        "model": target.name,
        "version": target.version,
        "served_by": target.served_by,
        "protocol": plan.protocol,
        "timeout_s": plan.timeout_s,
        "seed": plan.seed,
    }
    if isinstance(found, Summary):
        return {**about, "mlperf": asdict(found)}
    deadline_ms = None if plan.deadline_s is None else plan.deadline_s * 1e3
    more = {"batch": plan.batch, "arrivals": plan.arrivals, "deadline_ms": deadline_ms}
    return {**about, **more, "results": [asdict(result) for result in found]}


def _print(session: Session, found: list[Result] | Summary) -> None:
    console, target = Console(), session.target
    by = f" ({target.served_by})" if target.served_by else ""
    console.print(f"[bold]{target.name}[/] {target.version or ''}{by}, {session.plan.protocol}", highlight=False)
    console.print(scenario_report(found) if isinstance(found, Summary) else report(found), highlight=False)


def _any_answer(found: list[Result] | Summary) -> bool:
    if isinstance(found, Summary):
        return found.samples > 0
    return any(result.requests_per_s > 0 or result.latency_ms["max"] is not None for result in found)
