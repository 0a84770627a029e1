"""One model's life: loading, verifying its goldens, warming up, ready, draining, unloaded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from numpy.typing import NDArray

from joulebox.energy import Work
from joulebox.engine import Engine, EngineError, Tensors, open_engine, rungs
from joulebox.metrics import Metrics
from joulebox.package import Package, PackageError, Variant
from joulebox.runtime.errors import BadRequest, LoadError, NotReady, Overloaded
from joulebox.runtime.golden import GoldenMismatch, read_golden, sample, verify
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.model")

INLINE_S = 1e-3  # computed on the event loop up to here: handing over to a thread costs about a tenth of it
WARM_UP_RUNS = 20
WARM_UP_S = 0.1  # at most about so long for one model


class State(str, Enum):
    LOADING = "loading"
    VERIFYING = "verifying"
    WARMING_UP = "warming_up"
    READY = "ready"
    DRAINING = "draining"
    UNLOADED = "unloaded"
    FAILED = "failed"


@dataclass(frozen=True)
class Fallback:
    """A step down the ladder, which is never silent."""

    from_variant: str
    to_variant: str | None
    reason: str


@dataclass(frozen=True)
class Running:
    """What serves a model: a verified variant in its engine, and its time measured at warm-up."""

    variant: Variant
    engine: Engine
    seconds_per_item: float


@dataclass(frozen=True)
class Inference:
    """Outputs by tensor name, and where the time went."""

    outputs: dict[str, NDArray[Any]]
    queue_s: float
    compute_s: float
    items: int


class Model:
    """A package being served. All but `load` runs on the event loop's thread."""

    def __init__(self, package: Package, settings: Settings, metrics: Metrics) -> None:
        self.package = package
        self.name, self.version = package.manifest.name, package.manifest.version
        self.failure: str | None = None
        self.fallbacks: tuple[Fallback, ...] = ()
        self._settings = settings
        self._metrics = metrics
        self._running: Running | None = None
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._inflight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy_s = 0.0
        self._items = 0
        self._started_s: float | None = None
        self.state = State.UNLOADED
        self._enter(State.LOADING)
        self._count = _Counted(metrics, self.name, self.version)

    @property
    def running(self) -> Running:
        """What serves the model.

        Raises:
            NotReady: nothing does.
        """
        if self._running is None or self.state is not State.READY:
            because = f": {self.failure}" if self.failure else ""
            raise NotReady(f"model {self.name!r} is {self.state.value}{because}")
        return self._running

    def load(self) -> None:
        """Opens the best variant that reproduces the goldens here, and warms it up. Blocking.

        Raises:
            LoadError: no variant works on this host, or the package is not what its manifest says.
        """
        try:
            self._running = self._climb()
        except LoadError as error:
            self.failure = str(error)
            self._enter(State.FAILED)
            self._metrics.load_failures.labels(self.name, error.reason).inc()
            raise
        variant, engine = self._running.variant, self._running.engine
        self._count.bind(engine.name)
        self._metrics.engine_info.labels(
            self.name, self.version, variant.name, engine.name, variant.precision, engine.device
        ).set(1)
        self._enter(State.READY)

    async def infer(self, inputs: Tensors) -> Inference:
        """Runs one request's batch, in its turn.

        Args:
            inputs: checked against the manifest; the first dimension is the batch.

        Raises:
            NotReady: the model takes no traffic now.
            Overloaded: too many requests wait already.
            BadRequest: the engine refused the input.
        """
        running = self.running
        if self._waiting >= self._settings.queue_size:
            self._metrics.rejected.labels(self.name, "queue_full").inc()
            raise Overloaded(f"{self._waiting} requests wait for model {self.name!r}, which is the limit")
        arrived_s = time.perf_counter()
        self._waiting += 1
        self._count.depth.inc()
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
            self._count.depth.dec()
        try:
            return await self._compute(running, inputs, arrived_s)
        finally:
            self._turn.release()

    async def _compute(self, running: Running, inputs: Tensors, arrived_s: float) -> Inference:
        items = len(next(iter(inputs.values()))) if self.package.manifest.batched else 1
        self._started_s = started_s = time.perf_counter()
        try:
            if items * running.seconds_per_item <= INLINE_S:
                outputs = running.engine.run(inputs)
            else:
                outputs = await _finish(asyncio.get_running_loop().run_in_executor(None, running.engine.run, inputs))
        except EngineError as error:
            raise BadRequest(f"the engine refused the input: {error}") from error
        finally:
            ended_s = time.perf_counter()
            self._started_s = None
            self._busy_s += ended_s - started_s
        self._items += items
        inference = Inference(outputs, started_s - arrived_s, ended_s - started_s, items)
        self._count.inference(inference)
        return inference

    def work(self, now_s: float) -> Work:
        """Busy time and items so far, what is in flight included; `now_s` on the clock of `time.perf_counter`."""
        inflight_s = 0.0 if self._started_s is None else max(0.0, now_s - self._started_s)
        return Work(self._busy_s + inflight_s, self._items)

    def enter_request(self) -> None:
        self._inflight += 1
        self._idle.clear()
        self._count.inflight.inc()

    def leave_request(self) -> None:
        self._inflight -= 1
        self._count.inflight.dec()
        if self._inflight == 0:
            self._idle.set()

    async def drain(self) -> None:
        """Takes no more traffic, and waits for the answers under way."""
        if self.state is State.READY:
            self._enter(State.DRAINING)
        await self._idle.wait()
        self._running = None
        self._enter(State.UNLOADED)

    def observe_request(self, protocol: str, code: int, seconds: float) -> None:
        self._count.request(protocol, code, seconds)

    def _climb(self) -> Running:
        """Tries the rungs of the ladder from the best down."""
        ladder = rungs(self.package.manifest.variants)
        reasons: list[str] = []
        for number, variant in enumerate(ladder):
            try:
                return self._start(variant)
            except PackageError as error:
                raise LoadError(str(error), "package") from error
            except (EngineError, GoldenMismatch) as error:
                below = ladder[number + 1] if number + 1 < len(ladder) else None
                self._step_down(variant, below, error)
                reasons.append(f"{variant.name}: {error}")
        raise LoadError(f"no variant of {self.name} works on this host: {'; '.join(reasons)}", "no_variant")

    def _step_down(self, variant: Variant, below: Variant | None, error: Exception) -> None:
        reason = "golden_mismatch" if isinstance(error, GoldenMismatch) else "engine"
        log.warning(
            "%s: variant %s is not used, stepping down to %s: %s", self.name, variant.name, below and below.name, error
        )
        self._metrics.fallback.labels(self.name, variant.engine, below.engine if below else "none", reason).inc()
        self.fallbacks += (Fallback(variant.name, below.name if below else None, str(error)),)

    def _start(self, variant: Variant) -> Running:
        inputs, expected = read_golden(self.package)
        batched = self.package.manifest.batched
        engine = open_engine(self.package, variant, threads=self._settings.threads)
        self._enter(State.VERIFYING)
        verify(engine, variant, inputs, expected, batched=batched)
        self._enter(State.WARMING_UP)
        first = sample(inputs, 0, batched=batched)
        return Running(variant, engine, _warm_up(lambda: engine.run(first)))

    def _enter(self, state: State) -> None:
        for other in State:
            self._metrics.model_state.labels(self.name, self.version, other.value).set(other is state)
        self.state = state


class _Counted:
    """This model's children of the metrics, looked up once."""

    def __init__(self, metrics: Metrics, name: str, version: str) -> None:
        self._metrics, self._name, self._version = metrics, name, version
        self.depth = metrics.queue_depth.labels(name)
        self.inflight = metrics.inflight.labels(name)
        self._queue = metrics.queue_duration.labels(name)
        self._batch = metrics.batch_size.labels(name)
        self._requests: dict[tuple[str, int], Any] = {}

    def bind(self, engine: str) -> None:
        self._compute = self._metrics.compute_duration.labels(self._name, engine)
        self._inferences = self._metrics.inferences.labels(self._name, self._version, engine)

    def inference(self, inference: Inference) -> None:
        self._queue.observe(inference.queue_s)
        self._compute.observe(inference.compute_s)
        self._batch.observe(inference.items)
        self._inferences.inc(inference.items)

    def request(self, protocol: str, code: int, seconds: float) -> None:
        child = self._requests.get((protocol, code))
        if child is None:
            child = self._metrics.request_duration.labels(self._name, self._version, protocol, str(code))
            self._requests[protocol, code] = child
        child.observe(seconds)


async def _finish(future: asyncio.Future[Any]) -> Any:
    """Waits for a thread's result even where the request is cancelled meanwhile: the engine is busy until then."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _warm_up(run: Callable[[], object]) -> float:
    """The median time of a run, in seconds."""
    begin_s, times = time.perf_counter(), list[float]()
    while len(times) < WARM_UP_RUNS or time.perf_counter() - begin_s < WARM_UP_S / 2:
        started_s = time.perf_counter()
        run()
        times.append(time.perf_counter() - started_s)
        if time.perf_counter() - begin_s > WARM_UP_S and len(times) >= 3:
            break
    return sorted(times)[len(times) // 2]
