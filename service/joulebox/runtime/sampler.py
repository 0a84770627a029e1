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

from joulebox.energy import Booking, Key, Ledger, Meter, ReadError, Source, Sources, Work
from joulebox.metrics import Metrics, observe_many
from joulebox.runtime.batch import Inference
from joulebox.runtime.energy_state import state_of
from joulebox.runtime.model import Model
from joulebox.runtime.pace import INTERVAL_S, Pace
from joulebox.runtime.repository import Repository
from joulebox.runtime.shared_work import SharedWork

log = logging.getLogger("joulebox.energy")

LEAST_S = 0.001  # between two polls
SUSPENDED_S = 0.1
SLOW_S = 0.5e-3  # a reading that holds up the event loop for longer,
SLOW_READS = 5  # so many times in a row, is done at leisure from then on
SNAPSHOT = "energy.json"
WEAKER: tuple[Source, ...] = ("measured", "integrated", "estimated")  # a sum is as good as its worst part


@dataclass(frozen=True, slots=True)
class Provisional:
    """What one request's answer cost, by the figures settled so far; the ledger may settle it differently."""

    joules: float | None
    source: Source | Literal["none"]


class _Book:
    """A meter with its ledger, and when to ask it."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        device = meter.device
        # An estimate is continuous; a reader that knows its counter's tick says so.
        tick_s = 0.0 if device.source == "estimated" else device.tick_s
        self.ledger = Ledger(busy_watts=device.busy_watts, tick_s=tick_s, calibration_watts=device.idle_watts)
        self.pace = Pace(tick_s)
        self._readable = True
        self._slow = 0  # readings in a row that took long
        self._next_try_s = 0.0
        self._backoff_s = 1.0

    def due(self, now_s: float, *, leisurely: bool) -> bool:
        """Whether to ask now; a counter that is not waited for may be asked at any time."""
        if now_s < self._next_try_s:
            return False
        return now_s >= self.pace.next_s or (leisurely and not self.pace.waits(now_s))

    @property
    def next_s(self) -> float:
        return max(self.pace.next_s, self._next_try_s)

    def poll(self, now_s: float, work: dict[Key, Work], *, suspended: bool) -> Booking | None:
        """Books what was used since the last change; after a failed reading, that is unknown and starts anew."""
        if suspended:
            self.ledger.feed(now_s, None, work)
        try:
            begun_s = time.perf_counter()
            joules = self.meter.joules()
            self._slow = self._slow + 1 if time.perf_counter() - begun_s > SLOW_S else 0
        except ReadError as error:
            if self._readable:
                log.warning("%s cannot be read, its energy is unknown until it can: %s", self.meter.device.name, error)
            self._readable = False
            self.ledger.feed(now_s, None, work)
            self._next_try_s, self._backoff_s = now_s + self._backoff_s, min(60.0, 2 * self._backoff_s)
            return None
        self._readable, self._backoff_s = True, 1.0
        if self._slow == SLOW_READS:
            self.pace = Pace(None)
        booking = self.ledger.feed(now_s, joules, work, hold=self.pace.holds)
        self.pace.asked(now_s, changed=booking is not None)
        return booking


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
        self._slept_s: float | None = None
        self._snapshot: dict[str, Any] = {"state": {"devices": [], "models": [], "unavailable": []}, "watts": {}}

    async def run(self) -> None:
        """Samples until cancelled."""
        tick_s = 0.0
        while True:
            now_s = time.perf_counter()
            try:
                if now_s >= tick_s:
                    tick_s = now_s + INTERVAL_S
                    if self._sources is None and self._repository.fleet.lead():
                        await asyncio.to_thread(self.open)
                    self.tick()
                else:
                    self._poll(now_s)
            except Exception:  # figures may stop, serving does not
                log.exception("sampling energy failed")
            next_s = min([tick_s, *(book.next_s for book in self._books)])
            await asyncio.sleep(max(LEAST_S, next_s - time.perf_counter()))

    def open(self) -> None:
        """Finds the host's counters. It blocks, for about a second where their ticks are measured."""
        sources = self._open_sources(lambda: self._work.cpu_s)
        for meter in sources.meters:
            device = meter.device
            self._metrics.energy_source.labels(device.name, device.source, device.reader).set(1)
        if not sources.meters:
            reasons = "; ".join(f"{found.reader}: {found.reason}" for found in sources.unavailable)
            log.warning("no energy source: %s", reasons)
        self._books = [_Book(meter) for meter in sources.meters]
        self._sources = sources

    def tick(self) -> None:
        """Brings what this worker has done up to date, and settles if it is the leader."""
        for model in self._repository.models.values():
            model.flush()
        self._repository.records.set_cpu_ns(time.process_time_ns())
        fleet = self._repository.fleet
        if self._sources is not None and fleet.lead():
            self._poll(time.perf_counter(), leisurely=True)
            self._snapshot = self._view()
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

    def _poll(self, now_s: float, *, leisurely: bool = False) -> None:
        """Asks the counters that are due."""
        due = [book for book in self._books if book.due(now_s, leisurely=leisurely)]
        if not due:
            return
        suspended = self._was_suspended()
        work = self._work.read(now_s)
        for book in self._books if suspended else due:
            booking = book.poll(now_s, work, suspended=suspended)
            if booking is not None:
                self._export(book, booking)
            elif book.ledger.watts is None:
                self._metrics.device_power.labels(book.meter.device.name, book.meter.device.source).set(math.nan)

    def _was_suspended(self) -> bool:
        """Whether the host slept since the last call: the monotonic clock stood still, a counter may not have."""
        slept_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        before_s, self._slept_s = self._slept_s, slept_s
        return before_s is not None and slept_s - before_s > SUSPENDED_S

    def _export(self, book: _Book, booking: Booking) -> None:
        device, metrics = book.meter.device, self._metrics
        labels = device.name, device.source
        metrics.device_energy.labels(*labels).inc(booking.joules)
        if book.ledger.idle_watts is not None:
            metrics.device_idle.labels(*labels).inc(booking.idle_joules)
        metrics.device_unattributed.labels(*labels, booking.reason).inc(booking.unattributed_joules)
        watts = math.nan if book.ledger.watts is None else book.ledger.watts  # unknown, as Prometheus says it
        metrics.device_power.labels(*labels).set(watts)
        for (name, version), part in booking.models.items():
            if part.joules or part.items:
                metrics.inference_energy.labels(name, version, device.name, "dynamic", device.source).inc(part.joules)
            if part.idle_joules:
                metrics.inference_energy.labels(name, version, device.name, "idle", device.source).inc(part.idle_joules)
            if part.items:
                child = metrics.energy_per_inference.labels(name, version, device.name, device.source)
                observe_many(child, part.joules / part.items, part.items)

    def _view(self) -> dict[str, Any]:
        keys = {key for book in self._books for key in book.ledger.accounts}
        return {
            "state": state_of([(book.meter.device, book.ledger) for book in self._books], self._sources),
            "watts": {"/".join(key): self._watts(key) for key in keys},
            "busy_watts": _sum([book.ledger.busy_watts for book in self._books]),
            "source": max((book.meter.device.source for book in self._books), key=WEAKER.index, default="none"),
        }

    def _watts(self, key: Key) -> float | None:
        """What the model uses while it is busy; None where a device cannot say yet."""
        return _sum([book.ledger.busy_watts_of(key) for book in self._books])


def _sum(watts: list[float | None]) -> float | None:
    known = [each for each in watts if each is not None]
    return sum(known) if known and len(known) == len(watts) else None
