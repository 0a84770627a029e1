"""The parts of the benchmark: each measures one thing, round by round."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isnan, nan
from pathlib import Path
from statistics import median as middle

import grpc

from bench import grpc_load, load
from bench.environments import PEERS, UnavailableError, own_environment
from bench.load import Load, wrk
from bench.models import Model
from bench.openloop import Overload, allow_connections, overload
from bench.process import Process, free_port, running
from bench.results import Compared, Drift, Gathered, Overloaded
from bench.servers import JOULEBOX, READY_S, SERVERS, Running, Server, joulebox, serving
from bench.wire import as_http, oip_binary

IN_PROCESS = "ONNX Runtime alone"
ECHO = "bare grpc.aio echo"
JOULEBOX_GRPC = "joulebox, gRPC"
OVERLOAD_FACTOR = 3.0
DEADLINE_S = 1.0
DRIFT_CONNECTIONS = 8

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure, and where to say what is being measured."""

    rounds: int
    seconds: int
    requests: int  # over which memory has to stay flat
    say: Say

    def turns(self, names: Sequence[str]) -> Generator[tuple[int, str]]:
        """Round by round, each name once a round, every round beginning with another one."""
        for number in range(self.rounds):
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                yield number + 1, name


def compare(plan: Plan, model: Model, names: Sequence[str], connections: Sequence[int]) -> Compared:
    """The servers under `wrk`, one at a time; `IN_PROCESS` may be among them."""
    gathered = Gathered()
    for number, name in plan.turns(names):
        if name in gathered.not_run:
            continue
        plan.say(f"{model.name}: round {number} of {plan.rounds}, {name}")
        try:
            if name == IN_PROCESS:
                gathered.loads[name, 1].append(in_process(plan, model))
                continue
            with _served(SERVERS[name], model) as (server, folder):
                gathered.started(name, server.ready_s, server.process.resident_mb())
                for count in connections:
                    gathered.loads[name, count].append(wrk(server, count, plan.seconds, folder))
        except Exception as error:  # whatever is wrong with one server: the others' figures stand
            gathered.not_run[name] = _reason(error)
    return gathered.result(
        model.title, {name: SERVERS[name].wire if name in SERVERS else "no server" for name in names}
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnavailableError) else f"{type(error).__name__}: {error}"[:300]


@contextmanager
def _served(server: Server, model: Model) -> Generator[tuple[Running, Path]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, serving(server, model, Path(folder)) as started:
        yield started, Path(folder)


def in_process(plan: Plan, model: Model) -> Load:
    """ONNX Runtime alone, one inference after the other."""
    command = [sys.executable, str(PEERS / "inprocess.py"), str(model.onnx), str(plan.seconds)]
    return load.of(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def grpc_beside_echo(plan: Plan, model: Model, calls: Sequence[int]) -> Compared:
    """Unary calls to Joulebox and to a bare echo, by the same client with the same bytes."""
    gathered = Gathered()
    request = grpc_load.request_bytes(model)
    for number, name in plan.turns([ECHO, JOULEBOX_GRPC]):
        if name in gathered.not_run:
            continue
        plan.say(f"grpc: round {number} of {plan.rounds}, {name}")
        try:
            with _grpc_server(name, model, request) as (process, port, file, ready_s):
                gathered.started(name, ready_s, process.resident_mb())
                for count in calls:
                    gathered.loads[name, count].append(grpc_load.measure(process, port, file, count, plan.seconds))
        except Exception as error:  # as above
            gathered.not_run[name] = _reason(error)
    return gathered.result(model.title, {ECHO: "raw bytes", JOULEBOX_GRPC: "OIP gRPC"})


@contextmanager
def _grpc_server(name: str, model: Model, request: bytes) -> Generator[tuple[Process, int, Path, float]]:
    first = free_port()
    if name == ECHO:
        port, command = first, [sys.executable, str(PEERS / "grpc_echo.py"), str(first)]
    else:
        port = first + 1
        command = [*joulebox(model, first), "--grpc-port", str(port)]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        running(command, own_environment(), Path(folder)) as process,
    ):
        file = Path(folder, "request")
        file.write_bytes(request)
        _await_call(process, port, request)
        yield process, port, file, time.monotonic() - process.started_s


def _await_call(process: Process, port: int, request: bytes) -> None:
    said = "nothing"
    while time.monotonic() < process.started_s + READY_S:
        if not process.alive:
            raise UnavailableError(f"it ended: {process.last_words}")
        try:
            asyncio.run(grpc_load.ask(port, request))
        except grpc.RpcError as error:
            said = str(error.details())
            time.sleep(0.05)
        else:
            return
    raise UnavailableError(f"no answer to the call; the last one: {said[:150]}")


def overloaded(plan: Plan, model: Model, connections: int) -> Overloaded | str:
    """Joulebox asked at three times its capacity, which is what a closed loop got just before. Or why not."""
    server = SERVERS[JOULEBOX]
    request = oip_binary(model, timeout_us=int(DEADLINE_S * 1e6))
    runs: list[tuple[float, Overload]] = []
    allow_connections()
    try:
        for number in range(plan.rounds):
            plan.say(f"overload, {model.name}: round {number + 1} of {plan.rounds}")
            with _served(server, model) as (started, folder):
                capacity = wrk(started, connections, plan.seconds, folder).requests_per_s
                content = as_http(request, started.port)
                runs.append(
                    (capacity, overload(started.port, content, OVERLOAD_FACTOR * capacity, plan.seconds, DEADLINE_S))
                )
    except UnavailableError as error:
        return str(error)
    capacities, seen = [run[0] for run in runs], [asdict(run[1]) for run in runs]
    medians = Overload(**{name: _known_middle([each[name] for each in seen]) for name in seen[0]})
    return Overloaded(model.title, middle(capacities), DEADLINE_S, medians)


def _known_middle(values: Sequence[float]) -> float:
    return middle([each for each in values if not isnan(each)] or [nan])


def drift(plan: Plan, model: Model) -> Drift | str:
    """Joulebox's resident memory, sampled over many requests. Or why not."""
    requests, resident_mb = [0], []
    try:
        with _served(SERVERS[JOULEBOX], model) as (started, folder):
            resident_mb.append(started.process.resident_mb())
            while requests[-1] < plan.requests:
                seen = wrk(started, DRIFT_CONNECTIONS, plan.seconds, folder)
                if not seen.requests:
                    return "the server answers no request"
                requests.append(requests[-1] + int(seen.requests))
                resident_mb.append(started.process.resident_mb())
                plan.say(f"memory: {requests[-1]:,} of {plan.requests:,} requests, {resident_mb[-1]:.0f} MB")
            return Drift(started.ready_s, requests, resident_mb)
    except UnavailableError as error:
        return str(error)
