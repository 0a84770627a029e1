"""A benchmark from end to end: finds the model, makes the requests, measures step by step."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from joulebox.bench import encode, inputs
from joulebox.bench.arrivals import Arrivals, arrivals
from joulebox.bench.connection import OK, Address, Connection, HttpConnection, exchange, parse_address
from joulebox.bench.errors import BenchError, UsageError
from joulebox.bench.inputs import Tensors
from joulebox.bench.load import Closed, Open
from joulebox.bench.result import Energy, Result, energy, result
from joulebox.bench.tally import Tally
from joulebox.bench.target import Ledger, Target, find_target, read_ledger

Protocol = Literal["binary", "json", "grpc"]
WATCH_S = 0.5
SETTLE_S = 0.6  # after which the server's ledger, which settles four times a second, has booked the last inference


@dataclass(frozen=True)
class Step:
    """One measurement: a closed loop, or an open one where there is a rate."""

    connections: int
    rate: float | None = None


@dataclass(frozen=True)
class Plan:
    """What is asked of the server, and how."""

    model: str | None = None
    protocol: Protocol = "binary"
    steps: tuple[Step, ...] = (Step(1),)
    arrivals: Arrivals = "poisson"
    seconds: float = 5.0
    warmup_s: float = 1.0
    timeout_s: float = 10.0
    deadline_s: float | None = None
    batch: int = 1
    seed: int = 0
    shapes: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    data: Path | None = None
    samples: Tensors | None = None
    """Inputs of a package's goldens."""
    grpc_port: int = 0
    headers: tuple[tuple[str, str], ...] = ()


Watch = Callable[[Step, Tally], None]


@dataclass(frozen=True)
class Session:
    """A server with its model, which has answered one request, and all that is sent to it."""

    plan: Plan
    address: Address
    control: Connection
    target: Target
    tensors: list[Tensors]
    requests: list[bytes]
    build: Callable[[Tensors], bytes]
    dial: Callable[[], Connection]


@asynccontextmanager
async def open_session(plan: Plan, url: str) -> AsyncGenerator[Session]:
    """Finds the model, and sends it one request.

    Raises:
        UsageError: the server does not take what was asked for.
        BenchError: it gives no answer.
    """
    address = parse_address(url, plan.headers)
    control = HttpConnection(address, plan.timeout_s)
    try:
        target = await find_target(control, address, plan.model)
        tensors = _tensors(plan, target)
        build, dial = _transport(plan, address, target)
        session = Session(plan, address, control, target, tensors, [build(each) for each in tensors], build, dial)
        await _try(session)
        yield session
    finally:
        await control.close()


def _tensors(plan: Plan, target: Target) -> list[Tensors]:
    if plan.data is not None:
        return inputs.batches(target.inputs, inputs.load_file(plan.data, target.inputs), plan.batch)
    if plan.samples is not None and not plan.shapes:
        return inputs.batches(target.inputs, plan.samples, plan.batch)
    return inputs.random_requests(target.inputs, plan.batch, plan.shapes, plan.seed)


def _transport(
    plan: Plan, address: Address, target: Target
) -> tuple[Callable[[Tensors], bytes], Callable[[], Connection]]:
    """What makes a request's bytes, and what opens a connection for them."""
    if plan.protocol == "grpc":
        from joulebox.bench.grpc import GrpcConnection, grpc_request  # only where it is asked for  # noqa: PLC0415

        return (
            lambda tensors: grpc_request(target.name, target.inputs, tensors),
            lambda: GrpcConnection(address, plan.grpc_port, plan.timeout_s),
        )
    write = encode.json_request if plan.protocol == "json" else encode.binary_request
    return (
        lambda tensors: write(address, target.name, target.inputs, tensors),
        lambda: HttpConnection(address, plan.timeout_s),
    )


async def _try(session: Session) -> None:
    """Raises what the server has against the first request."""
    connection = session.dial()
    try:
        answer = await exchange(connection, session.requests[0])
    finally:
        await connection.close()
    if answer.kind != OK:
        kind = UsageError if answer.kind.startswith("4") and answer.kind != "429" else BenchError
        raise kind(f"model {session.target.name!r} does not answer ({answer.kind}): {encode.error_text(answer)}")


async def measure(session: Session, watch: Watch) -> AsyncGenerator[Result]:
    """The plan's steps, one after another; SIGINT or SIGTERM ends them early, with what there is."""
    stop = asyncio.Event()
    with stopping_on_signals(stop):
        for step in session.plan.steps:
            if not stop.is_set():
                done = await measure_step(session, step, watch, stop)
                if done is not None:
                    yield done


async def measure_step(session: Session, step: Step, watch: Watch, stop: asyncio.Event) -> Result | None:
    """None where it was interrupted before the warm-up was over."""
    plan = session.plan
    connections = [session.dial() for _ in range(step.connections)]
    before = await read_ledger(session.control, session.address, session.target)
    gc.collect()
    gc.freeze()  # what is there stays there: a full collection in between would show in the latencies
    started_s, cpu_s = time.perf_counter(), time.process_time()
    begin_s = started_s + plan.warmup_s
    tally = Tally(begin_s, begin_s + plan.seconds, plan.deadline_s)
    load = _load(session, step, connections, tally, started_s)
    try:
        await run_until(stop, load.run(), lambda: watch(step, tally))
    finally:
        await close_all(connections)
    now_s = time.perf_counter()
    client_cpu = (time.process_time() - cpu_s) / (now_s - started_s)
    seconds = min(now_s - begin_s, plan.seconds)
    if seconds <= 0:
        return None
    return result(
        tally, step.connections, step.rate, seconds, plan.batch, deadline=plan.deadline_s is not None,
        energy=await spent(session, before, tally), client_cpu=client_cpu, interrupted=stop.is_set(),
    )  # fmt: skip


async def spent(session: Session, before: Ledger | None, tally: Tally) -> Energy:
    """What an inference cost since the ledger was read, once the server has booked the last one."""
    if before is None:
        return energy(None, None, tally)
    await asyncio.sleep(SETTLE_S)
    return energy(before, await read_ledger(session.control, session.address, session.target), tally)


async def close_all(connections: Sequence[Connection]) -> None:
    for connection in connections:
        await connection.close()


def _load(session: Session, step: Step, connections: list[Connection], tally: Tally, begin_s: float) -> Closed | Open:
    if step.rate is None:
        return Closed(connections, session.requests, tally)
    moments = arrivals(session.plan.arrivals, step.rate, begin_s, session.plan.seed)
    return Open(connections, session.requests, tally, moments)


async def run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None], watch: Callable[[], None]) -> None:
    """Runs the work until it ends or is stopped, and shows now and then how far it is."""
    running = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        while not running.done() and not stopping.done():
            await asyncio.wait((running, stopping), timeout=WATCH_S, return_when=asyncio.FIRST_COMPLETED)
            watch()
        if running.done():
            running.result()
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


@contextmanager
def stopping_on_signals(stop: asyncio.Event) -> Generator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
