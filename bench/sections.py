"""The parts of the benchmark: each measures one thing, round by round."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
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
from bench.results import Compared, Drift, Overloaded
from bench.servers import JOULEBOX, READY_S, SERVERS, joulebox
from bench.sidebyside import Contender, Contenders, Plan, served, side_by_side, under_wrk
from bench.wire import as_http, oip_binary

IN_PROCESS = "ONNX Runtime alone"
ECHO = "bare grpc.aio echo"
GRPC_RAW = "bare grpc.aio and ONNX Runtime"
JOULEBOX_GRPC = "joulebox, gRPC"
OVERLOAD_FACTOR = 3.0
DEADLINE_S = 1.0
DRIFT_CONNECTIONS = 8


def compare(plan: Plan, model: Model, names: Sequence[str], connections: Sequence[int]) -> Compared:
    """The servers under `wrk`, one at a time; `IN_PROCESS` may be among them."""
    contenders: Contenders = {
        name: partial(_in_process, plan, model)
        if name == IN_PROCESS
        else partial(under_wrk, plan, SERVERS[name], model)
        for name in names
    }
    wires = {name: SERVERS[name].wire if name in SERVERS else "no server" for name in names}
    return side_by_side(plan, model, contenders, wires, connections)


@contextmanager
def _in_process(plan: Plan, model: Model) -> Generator[Contender]:
    """ONNX Runtime alone, one inference after the other."""
    command = [sys.executable, str(PEERS / "inprocess.py"), str(model.onnx), str(plan.seconds)]

    def measure(count: int) -> Load | None:
        if count > 1:
            return None
        return load.of(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    yield Contender(None, nan, measure)


def grpc_beside_echo(plan: Plan, model: Model, calls: Sequence[int]) -> Compared:
    """Unary calls to Joulebox, to a bare echo, and to one that computes the inference, by the same client with the same bytes."""
    wires = {ECHO: "raw bytes", GRPC_RAW: "raw bytes", JOULEBOX_GRPC: "OIP gRPC"}
    contenders: Contenders = {name: partial(_under_grpc, plan, name, model) for name in wires}
    return side_by_side(plan, model, contenders, wires, calls)


@contextmanager
def _under_grpc(plan: Plan, name: str, model: Model) -> Generator[Contender]:
    first = free_port()
    if name == JOULEBOX_GRPC:
        port = first + 1
        command = [*joulebox(model, first), "--grpc-port", str(port)]
    else:
        inference = [] if name == ECHO else [str(model.onnx)]
        port, command = first, [sys.executable, str(PEERS / "grpc_raw.py"), str(first), *inference]
    request = grpc_load.request_bytes(model)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        running(command, own_environment(), Path(folder)) as process,
    ):
        file = Path(folder, "request")
        file.write_bytes(request)
        _await_call(process, port, request)
        ready_s = time.monotonic() - process.started_s
        yield Contender(process, ready_s, lambda count: grpc_load.measure(process, port, file, count, plan.seconds))


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
            with served(server, model) as (started, folder):
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
        with served(SERVERS[JOULEBOX], model) as (started, folder):
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
