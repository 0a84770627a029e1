"""Reads the host's energy counters at a steady pace, settles the ledgers and exports what they say."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass

from joulebox.energy import Key, Ledger, Meter, ReadError, Settlement, Source, Sources
from joulebox.metrics import Metrics, observe_many
from joulebox.runtime.model import Inference, Model
from joulebox.runtime.repository import Repository

log = logging.getLogger("joulebox.energy")

INTERVAL_S = 0.25


@dataclass(frozen=True)
class Provisional:
    """What one answer cost, by the figures settled so far; the ledger may settle it differently."""

    joules: float | None
    source: Source | None


class _Book:
    """A meter with its ledger, and where the last reading was."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.ledger = Ledger(busy_watts=meter.device.busy_watts)
        self._joules: float | None = None
        self._at_s = 0.0
        self._next_try_s = 0.0
        self._backoff_s = 1.0

    def settle(self, models: list[Model]) -> tuple[float, dict[Key, Settlement]]:
        """Books what was used since the last reading; after a failed one, that is unknown and starts anew."""
        now_s = time.perf_counter()
        if now_s < self._next_try_s:
            return 0.0, {}
        work = {(model.name, model.version): model.work(now_s) for model in models}
        try:
            joules = self.meter.joules()
        except ReadError as error:
            if self._joules is not None:
                log.warning("%s cannot be read, its energy is unknown until it can: %s", self.meter.device.name, error)
            self._joules = self.ledger.watts = None
            self._next_try_s, self._backoff_s = now_s + self._backoff_s, min(60.0, 2 * self._backoff_s)
            return 0.0, {}
        delta = joules - self._joules if self._joules is not None else 0.0
        settled = self.ledger.settle(delta, now_s - self._at_s, work) if self._joules is not None else {}
        if self._joules is None:
            self.ledger.skip(work)
        self._joules, self._at_s, self._backoff_s = joules, now_s, 1.0
        return delta, settled


class Sampler:
    """The host's meters and ledgers."""

    def __init__(self, sources: Sources, repository: Repository, metrics: Metrics) -> None:
        self.sources = sources
        self.books = [_Book(meter) for meter in sources.meters]
        self._repository = repository
        self._metrics = metrics
        for meter in sources.meters:
            device = meter.device
            metrics.energy_source.labels(device.name, device.source, device.reader).set(1)
        if not sources.meters:
            log.warning(
                "no energy source: %s", "; ".join(f"{found.reader}: {found.reason}" for found in sources.unavailable)
            )

    async def run(self) -> None:
        """Samples until cancelled."""
        while True:
            self.settle()
            await asyncio.sleep(INTERVAL_S)

    def settle(self) -> None:
        models = list(self._repository.models.values())
        for book in self.books:
            self._export(book, *book.settle(models))

    def provisional(self, model: Model, inference: Inference) -> Provisional:
        """Per item, over all devices."""
        if not self.books:
            return Provisional(None, None)
        figures = [book.ledger.provisional((model.name, model.version), inference.compute_s) for book in self.books]
        known = [figure for figure in figures if figure is not None]
        source = self.books[0].meter.device.source
        return Provisional(sum(known) / inference.items if len(known) == len(figures) else None, source)

    def _export(self, book: _Book, delta: float, settled: dict[Key, Settlement]) -> None:
        device, metrics = book.meter.device, self._metrics
        metrics.device_energy.labels(device.name, device.source).inc(delta)
        unattributed = max(0.0, delta - sum(part.joules for part in settled.values()))
        metrics.device_unattributed.labels(device.name, device.source).inc(unattributed)
        watts = math.nan if book.ledger.watts is None else book.ledger.watts  # unknown, as Prometheus says it
        metrics.device_power.labels(device.name, device.source).set(watts)
        for (name, version), part in settled.items():
            metrics.inference_energy.labels(name, version, device.name, "dynamic", device.source).inc(part.joules)
            if part.items:
                child = metrics.energy_per_inference.labels(name, version, device.name, device.source)
                observe_many(child, part.joules / part.items, part.items)
