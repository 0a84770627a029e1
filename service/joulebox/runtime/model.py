"""One model's life: loading, verifying its goldens, warming up, ready, draining, unloaded."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from joulebox.engine import Engine, EngineError, Rung, Tensors, open_engine
from joulebox.metrics import Metrics
from joulebox.package import Package, PackageError, Variant
from joulebox.package.manifest import EngineName
from joulebox.runtime.batch import Inference
from joulebox.runtime.batcher import Batcher
from joulebox.runtime.errors import BadRequest, Expired, LoadError, NotReady, Overloaded
from joulebox.runtime.golden import GoldenMismatch, read_golden, sample, verify, verify_joined
from joulebox.runtime.observed import Observed
from joulebox.runtime.plan import Plan, measure
from joulebox.runtime.records import Records
from joulebox.runtime.rungs import ladder
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.model")


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
    """What serves a model: a verified variant in its engine, and how it is best computed here."""

    rung: Rung
    engine: Engine
    plan: Plan

    @property
    def variant(self) -> Variant:
        return self.rung.variant


class Model:
    """A package being served. All but `load` runs on the event loop's thread."""

    def __init__(self, package: Package, settings: Settings, metrics: Metrics, records: Records) -> None:
        self.package = package
        self.name, self.version = package.manifest.name, package.manifest.version
        self.key = f"{self.name}/{self.version}"
        self.kept: dict[str, Any] = {}
        """What protocols have prepared for this version, and keep as long as it is there."""
        self.failure: str | None = None
        self.fallbacks: tuple[Fallback, ...] = ()
        self._batched = package.manifest.batched
        self._settings = settings
        self._metrics = metrics
        self._records = records
        self._running: Running | None = None
        self._batcher: Batcher | None = None
        self._inflight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.state = State.UNLOADED
        self._enter(State.LOADING)
        self.observed = Observed(metrics, records.open(self.name, self.version), self.name, self.version)

    @property
    def running(self) -> Running:
        """What serves the model.

        Raises:
            NotReady: nothing does.
        """
        if self._running is None:
            raise self._not_ready()
        return self._running

    def load(self) -> None:
        """Opens the best variant that reproduces the goldens here, and warms it up. Blocking.

        Raises:
            LoadError: no variant works on this host, or the package is not what its manifest says.
        """
        try:
            running = self._climb()
        except LoadError as error:
            self.failure = str(error)
            self._enter(State.FAILED)
            self._metrics.load_failures.labels(self.name, error.reason).inc()
            raise
        variant, engine = running.variant, running.engine
        self.observed.bind(engine.name)
        self._info = self._metrics.engine_info.labels(
            self.name, self.version, variant.name, engine.name, variant.precision, engine.device
        )
        self._info.set(1)
        self._batcher = Batcher(
            engine.run,
            running.plan,
            queue_size=self._settings.queue_size,
            began=self.observed.began,
            ended=self.observed.ended,
        )
        self._running = running
        self._enter(State.READY)

    async def infer(self, inputs: Tensors, *, deadline_s: float | None = None) -> Inference:
        """Computes one request, in its turn. Cancelling this drops what has not begun to compute.

        Args:
            inputs: checked against the manifest.
            deadline_s: when it is of no use any more, on the clock of `time.perf_counter`; the server's own limit is
                the default.

        Raises:
            NotReady: the model takes no traffic now.
            Overloaded: too much waits already.
            Expired: the deadline passed before it was computed.
            BadRequest: the engine refused the input.
        """
        at_once = self.infer_now(inputs)
        if at_once is not None:
            return at_once
        batcher = self._ready_batcher()
        if deadline_s is None:
            deadline_s = time.perf_counter() + self._settings.timeout_s
        try:
            return await batcher.submit(inputs, self._items(inputs), deadline_s)
        except Overloaded as error:
            self._metrics.rejected.labels(self.name, "queue_full").inc()
            raise Overloaded(f"model {self.name!r}: {error}", error.retry_after_s) from error
        except Expired:
            self._metrics.rejected.labels(self.name, "deadline").inc()
            raise

    def infer_now(self, inputs: Tensors, *, alone: bool = False) -> Inference | None:
        """Computes one request on the spot where nothing waits and handing it over costs more; else None.

        Args:
            alone: whether nobody else waits for the event loop.

        Raises:
            NotReady, BadRequest: see `infer`.
        """
        batcher, items = self._ready_batcher(), self._items(inputs)
        if not (batcher.idle and batcher.inline(inputs, items=items, alone=alone)):
            return None
        started_s = time.perf_counter()
        if alone:  # it may take as long as a tick of an energy counter, which another worker reads
            self.observed.began(started_s)
        try:
            outputs = self.running.engine.run(inputs)
        except EngineError as error:
            raise BadRequest(f"the engine refused the input: {error}") from error
        finally:
            ended_s = time.perf_counter()
            self.observed.ended(started_s, ended_s, items, [0.0])
        return Inference(outputs, 0.0, ended_s - started_s, items, items)

    def could_wait(self, seconds: float) -> bool:
        """Whether its requests are joined, and its batches usually wait less."""
        running = self._running
        return running is not None and running.plan.batch_max > 1 and running.plan.delay_s < seconds

    def wait_up_to(self, seconds: float) -> None:
        """Lets batches wait so long to become fuller where that is longer than usual; 0 is the usual."""
        if self._batcher is not None:
            self._batcher.wait_up_to(seconds)

    def enter_request(self) -> None:
        """Begins a request; until it leaves, the model stays."""
        self._inflight += 1
        self._idle.clear()

    def leave_request(self) -> None:
        self._inflight -= 1
        if self._inflight == 0:
            self._idle.set()

    async def drain(self) -> None:
        """Takes no more traffic, waits for the answers under way, and gives back what the model holds."""
        if self.state is State.READY:
            self._enter(State.DRAINING)
        await self._idle.wait()
        if self._batcher is not None:
            await self._batcher.computed()
        self.flush()
        self.release()
        self.enter_unloaded()

    def release(self) -> None:
        """Gives back what the model holds."""
        if self._batcher is not None:
            self._batcher.close()
        if self._running is not None:
            self._info.set(0)
            self._running.engine.close()
        self._running = self._batcher = None
        self._records.close(self.observed.record)

    def enter_unloaded(self) -> None:
        self._enter(State.UNLOADED)

    def flush(self) -> None:
        """Brings metrics and the shared record up to date."""
        if self._batcher is not None:
            self.observed.flush(self._batcher.waiting, self._inflight)

    def _ready_batcher(self) -> Batcher:
        if self._batcher is None:
            raise self._not_ready()
        return self._batcher

    def _not_ready(self) -> NotReady:
        because = f": {self.failure}" if self.failure else ""
        return NotReady(f"model {self.name!r} is {self.state.value}{because}")

    def _items(self, inputs: Tensors) -> int:
        return len(next(iter(inputs.values()))) if self._batched else 1

    def _climb(self) -> Running:
        """Tries the rungs of the ladder from the best down."""
        try:
            found = ladder(self.package, self._settings)
        except PackageError as error:
            raise LoadError(str(error), "package") from error
        reasons: list[str] = []
        for number, rung in enumerate(found):
            try:
                return self._start(rung)
            except PackageError as error:
                raise LoadError(str(error), "package") from error
            except (EngineError, GoldenMismatch) as error:
                below = found[number + 1] if number + 1 < len(found) else None
                self._step_down(rung, below, error)
                reasons.append(f"{rung.name}: {error}")
        raise LoadError(_nothing_works(self.name, reasons, self._settings.strict), "no_variant")

    def _step_down(self, rung: Rung, below: Rung | None, error: Exception) -> None:
        reason = "golden_mismatch" if isinstance(error, GoldenMismatch) else "engine"
        log.warning(
            "%s: variant %s is not used, stepping down to %s: %s", self.name, rung.name, below and below.name, error
        )
        self._metrics.fallback.labels(self.name, rung.engine, below.engine if below else "none", reason).inc()
        self.fallbacks += (Fallback(rung.name, below.name if below else None, str(error)),)

    def _start(self, rung: Rung) -> Running:
        engine = open_engine(self.package, rung)
        try:
            return Running(rung, engine, self._verified(rung, engine))
        except BaseException:  # whatever stops it, nobody else knows of the engine
            engine.close()
            raise

    def _verified(self, rung: Rung, engine: Engine) -> Plan:
        """How it is best computed here, once it has reproduced the goldens."""
        variant = rung.variant
        inputs, expected = read_golden(self.package)
        self._enter(State.VERIFYING)
        verify(engine, variant, inputs, expected, batched=self._batched)
        self._enter(State.WARMING_UP)
        first = sample(inputs, 0, batched=self._batched)

        def run(items: int) -> object:
            if items == 1:
                return engine.run(first)
            return engine.run({name: np.repeat(array, items, axis=0) for name, array in first.items()})

        settings = self._settings
        plan = measure(
            run,
            batched=self._batched,
            item_elements=max(1, sum(array.size for array in first.values())),
            batch_max=settings.batch_max or rung.batch or 0,
            delay_ms=settings.batch_delay_ms,
        )
        if plan.batch_max > 1:
            try:
                verify_joined(engine, variant, inputs, expected, plan.batch_max)
            except (GoldenMismatch, EngineError) as error:
                log.warning("%s: requests are not joined to batches, which change their answers: %s", self.name, error)
                plan = replace(plan, batch_max=1, delay_s=0.0)
        return plan

    def _enter(self, state: State) -> None:
        for other in State:
            self._metrics.model_state.labels(self.name, self.version, other.value).set(other is state)
        self._metrics.model_state_since.labels(self.name, self.version).set(time.time())
        self.state = state


def _nothing_works(name: str, reasons: list[str], strict: EngineName | None) -> str:
    on = f" on {strict}, which --strict asks for" if strict else ""
    return f"no variant of {name} works on this host{on}: {'; '.join(reasons) or 'none is made for it'}"
