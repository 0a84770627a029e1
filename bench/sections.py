"""The parts of the benchmark: each measures one thing, round by round."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
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
from bench.results import Compared, Drift, Gathered, Overloaded
from bench.servers import JOULEBOX, READY_S, SERVERS, Running, Server, joulebox, serving
from bench.wire import as_http, oip_binary

IN_PROCESS = "ONNX Runtime alone"
ECHO = "bare grpc.aio echo"
GRPC_RAW = "bare grpc.aio and ONNX Runtime"
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

    def turns(self, names: Sequence[str], counts: Sequence[int]) -> Generator[tuple[int, str, int]]:
        """Round by round and count by count, each name in turn, every round beginning with another one."""
        for number in range(self.rounds):
            first = number % max(1, len(names))
            for count in counts:
                for name in [*names[first:], *names[:first]]:
                    yield number + 1, name, count


@dataclass(frozen=True)
class Contender:
    """What is compared, once it is up; `measure` takes how many ask at once, and gives nothing where that makes no sense."""

    process: Process | None
    ready_s: float
    measure: Callable[[int], Load | None]
    pauses: bool = True

    def awake(self) -> AbstractContextManager[None]:
        """While it is its turn."""
        return self.process.awake() if self.process and self.pauses else nullcontext()


Contenders = dict[str, Callable[[], AbstractContextManager[Contender]]]


def compare(plan: Plan, model: Model, names: Sequence[str], connections: Sequence[int]) -> Compared:
    """The servers under `wrk`, one at a time; `IN_PROCESS` may be among them."""
    contenders: Contenders = {
        name: partial(_in_process, plan, model)
        if name == IN_PROCESS
        else partial(_under_wrk, plan, SERVERS[name], model)
        for name in names
    }
    wires = {name: SERVERS[name].wire if name in SERVERS else "no server" for name in names}
    return _side_by_side(plan, model, contenders, wires, connections)


def _side_by_side(
    plan: Plan, model: Model, contenders: Contenders, wires: dict[str, str], counts: Sequence[int]
) -> Compared:
    """All are up from the beginning, and stopped but for their turns: what a round compares is seconds apart, not minutes."""
    gathered = Gathered()
    with ExitStack() as stack:
        up = dict(_bring_up(plan, contenders, stack, gathered))
        for number, name, count in plan.turns(list(up), counts):
            if name in gathered.not_run:
                continue
            plan.say(f"{model.name}: round {number} of {plan.rounds}, {count} at once, {name}")
            try:
                with up[name].awake():
                    seen = up[name].measure(count)
            except Exception as error:  # as above
                gathered.not_run[name] = _reason(error)
            else:
                if seen is not None:
                    gathered.loads[name, count].append(seen)
    return gathered.result(model.title, wires)


def _bring_up(
    plan: Plan, contenders: Contenders, stack: ExitStack, gathered: Gathered
) -> Generator[tuple[str, Contender]]:
    for name, start in contenders.items():
        plan.say(f"starting {name}")
        try:
            contender = stack.enter_context(start())
        except Exception as error:  # whatever is wrong with one: the others' figures stand
            gathered.not_run[name] = _reason(error)
            continue
        if contender.process:
            gathered.started(name, contender.ready_s, contender.process.resident_mb())
            if contender.pauses:
                contender.process.pause()
        yield name, contender


@contextmanager
def _under_wrk(plan: Plan, server: Server, model: Model) -> Generator[Contender]:
    with _served(server, model) as (started, folder):
        yield Contender(
            started.process,
            started.ready_s,
            lambda count: wrk(started, count, plan.seconds, folder),
            pauses=server.pauses,
        )


@contextmanager
def _in_process(plan: Plan, model: Model) -> Generator[Contender]:
    """ONNX Runtime alone, one inference after the other."""
    command = [sys.executable, str(PEERS / "inprocess.py"), str(model.onnx), str(plan.seconds)]

    def measure(count: int) -> Load | None:
        if count > 1:
            return None
        return load.of(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    yield Contender(None, nan, measure)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnavailableError) else f"{type(error).__name__}: {error}"[:300]


@contextmanager
def _served(server: Server, model: Model) -> Generator[tuple[Running, Path]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, serving(server, model, Path(folder)) as started:
        yield started, Path(folder)


def grpc_beside_echo(plan: Plan, model: Model, calls: Sequence[int]) -> Compared:
    """Unary calls to Joulebox, to a bare echo, and to one that computes the inference, by the same client with the same bytes."""
    wires = {ECHO: "raw bytes", GRPC_RAW: "raw bytes", JOULEBOX_GRPC: "OIP gRPC"}
    contenders: Contenders = {name: partial(_under_grpc, plan, name, model) for name in wires}
    return _side_by_side(plan, model, contenders, wires, calls)


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
