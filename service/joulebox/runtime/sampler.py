"""Reads the host's energy counters at a steady pace, settles the ledgers and exports what they say.

One worker of a server does (the leader, by a file lock), for the work of all; the others read what it leaves for them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from joulebox.energy import Key, Ledger, Meter, ReadError, Settlement, Source, Sources, Work
from joulebox.metrics import Metrics, observe_many
from joulebox.runtime.batch import Inference
from joulebox.runtime.model import Model
from joulebox.runtime.repository import Repository
from joulebox.runtime.shared_work import SharedWork

log = logging.getLogger("joulebox.energy")

INTERVAL_S = 0.25
SNAPSHOT = "energy.json"


@dataclass(frozen=True, slots=True)
class Provisional:
    """What one request's answer cost, by the figures settled so far; the ledger may settle it differently."""

    joules: float | None
    source: Source | Literal["none"]


class _Book:
    """A meter with its ledger, and where the last reading was."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.ledger = Ledger(busy_watts=meter.device.busy_watts)
        self._joules: float | None = None
        self._at_s = 0.0
        self._next_try_s = 0.0
        self._backoff_s = 1.0

    def settle(self, now_s: float, work: dict[Key, Work]) -> tuple[float, dict[Key, Settlement]]:
        """Books what was used since the last reading; after a failed one, that is unknown and starts anew."""
        if now_s < self._next_try_s:
            return 0.0, {}
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
    """The host's meters and ledgers, or a view of the leader's."""

    def __init__(
        self, open_sources: Callable[[Callable[[], float]], Sources], repository: Repository, metrics: Metrics
    ) -> None:
        """A sampler.

        Args:
            open_sources: finds the host's counters, given what says the CPU seconds of all workers.
        """
        self._open_sources = open_sources
        self._repository = repository
        self._metrics = metrics
        self._work = SharedWork(repository.fleet.folder)
        self._sources: Sources | None = None
        self._books: list[_Book] = []
        self._snapshot: dict[str, Any] = {"state": {"devices": [], "models": [], "unavailable": []}, "watts": {}}

    async def run(self) -> None:
        """Samples until cancelled."""
        while True:
            try:
                self.tick()
            except Exception:  # figures may stop, serving does not
                log.exception("sampling energy failed")
            await asyncio.sleep(INTERVAL_S)

    def tick(self) -> None:
        """Brings what this worker has done up to date, and settles if it is the leader."""
        for model in self._repository.models.values():
            model.flush()
        self._repository.records.set_cpu_ns(time.process_time_ns())
        fleet = self._repository.fleet
        if fleet.lead():
            self._settle()
            if fleet.workers > 1:
                fleet.write_snapshot(SNAPSHOT, self._snapshot)
        else:
            self._snapshot = fleet.read_snapshot(SNAPSHOT) or self._snapshot

    @property
    def state(self) -> dict[str, Any]:
        """What `/energy` answers: the ledgers of all devices; None where a value is not known."""
        return self._snapshot["state"]

    def provisional(self, model: Model, inference: Inference) -> Provisional:
        """What a request's items cost, over all devices."""
        watts = self._snapshot["watts"].get(model.key, self._snapshot.get("busy_watts"))
        source = self._snapshot.get("source", "none")
        if watts is None:
            return Provisional(None, source)
        return Provisional(watts * inference.compute_s * inference.items / inference.batch_items, source)

    def _settle(self) -> None:
        now_s = time.perf_counter()
        work = self._work.read(now_s)
        if self._sources is None:
            self._open()
        for book in self._books:
            self._export(book, *book.settle(now_s, work))
        self._snapshot = self._view()

    def _open(self) -> None:
        self._sources = self._open_sources(lambda: self._work.cpu_s)
        self._books = [_Book(meter) for meter in self._sources.meters]
        for meter in self._sources.meters:
            device = meter.device
            self._metrics.energy_source.labels(device.name, device.source, device.reader).set(1)
        if not self._books:
            reasons = "; ".join(f"{found.reader}: {found.reason}" for found in self._sources.unavailable)
            log.warning("no energy source: %s", reasons)

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

    def _view(self) -> dict[str, Any]:
        keys = {key for book in self._books for key in book.ledger.accounts}
        return {
            "state": _state(self._books, self._sources),
            "watts": {"/".join(key): self._watts(key) for key in keys},
            "busy_watts": _sum([book.ledger.busy_watts for book in self._books]),
            "source": self._books[0].meter.device.source if self._books else "none",
        }

    def _watts(self, key: Key) -> float | None:
        """What the model uses while it is busy; None where a device cannot say yet."""
        return _sum([book.ledger.busy_watts_of(key) for book in self._books])


def _sum(watts: list[float | None]) -> float | None:
    known = [each for each in watts if each is not None]
    return sum(known) if known and len(known) == len(watts) else None


def _state(books: list[_Book], sources: Sources | None) -> dict[str, Any]:
    devices: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    for book in books:
        device, ledger = book.meter.device, book.ledger
        devices.append(
            {
                "device": device.name,
                "reader": device.reader,
                "source": device.source,
                "note": device.note,
                "joules_total": ledger.total_joules,
                "idle_joules": None,
                "unattributed_joules": ledger.unattributed_joules,
                "idle_watts": None,
                "watts": ledger.watts,
            }
        )
        for (name, version), account in ledger.accounts.items():
            models.append(
                {
                    "model": name,
                    "version": version,
                    "device": device.name,
                    "source": device.source,
                    "inferences": account.items,
                    "dynamic_joules": account.joules,
                    "idle_joules": None,
                    "joules_per_inference": account.joules_per_item,
                    "ci95": None,
                }
            )
    unavailable = [{"reader": found.reader, "reason": found.reason} for found in sources.unavailable] if sources else []
    return {"devices": devices, "models": models, "unavailable": unavailable}
