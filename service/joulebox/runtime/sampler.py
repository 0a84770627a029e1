"""Reads the host's energy counters at a steady pace, settles the ledgers and exports what they say.

One worker of a server does (the leader, by a file lock), for the work of all; the others read what it leaves for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from joulebox.energy import Booking, Key, Rates, Source, Sources, weakest
from joulebox.energy.carbon import OFF
from joulebox.metrics import Metrics
from joulebox.runtime.batch import Inference
from joulebox.runtime.book import Book, Reading
from joulebox.runtime.energy_metrics import export
from joulebox.runtime.energy_state import state_of
from joulebox.runtime.handover import Handover, forget, leave, take_over
from joulebox.runtime.keeper import Keeper
from joulebox.runtime.model import Model
from joulebox.runtime.pace import INTERVAL_S
from joulebox.runtime.repository import Repository
from joulebox.runtime.shared_work import SharedWork

log = logging.getLogger("joulebox.energy")

LEAST_S = 0.001  # between two polls
SUSPENDED_S = 0.1
SNAPSHOT = "energy.json"
FRESH_S = 2.0  # so old, the leader's decisions hold no more


OpenSources = Callable[[Callable[[], float], Mapping[str, float | None]], Sources]


@dataclass(frozen=True, slots=True)
class Provisional:
    """What one request's answer cost, by the figures settled so far; the ledger may settle it differently."""

    joules: float | None
    source: Source | Literal["none"]


class Sampler:
    """The host's meters and ledgers, or a view of the leader's."""

    def __init__(
        self,
        open_sources: OpenSources,
        repository: Repository,
        metrics: Metrics,
        keeper: Keeper,
        rates: Rates = OFF,
    ) -> None:
        """A sampler.

        Args:
            open_sources: finds the host's counters, given what says the CPU seconds of all workers, and the ticks that are
                known, by device.
            keeper: keeps the models to their energy budgets.
            rates: what turns joules into grams and money.
        """
        self._open_sources = open_sources
        self._repository = repository
        self._metrics = metrics
        self._keeper = keeper
        self._rates = rates
        self._work = SharedWork(repository.fleet.folder)
        self._sources: Sources | None = None
        self._books: list[Book] = []
        self._booked: dict[str, list[Booking]] = {}  # by device, since the last tick
        self._slept_s: float | None = None
        self._left = True
        self._took_over = False
        self._snapshot: dict[str, Any] = {
            "at_s": 0.0,
            "state": state_of([], None, rates) | keeper.state,
            "watts": {},
            "delays": {},
        }

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
                    await self.tick()
                else:
                    await self._poll()
            except Exception:  # figures may stop, serving does not
                log.exception("sampling energy failed")
                self._delay({})
            next_s = min([tick_s, *(book.next_s for book in self._books if self._ready)])
            await asyncio.sleep(max(LEAST_S, next_s - time.perf_counter()))

    def open(self) -> None:
        """Finds the host's counters. It blocks, for about a second where their ticks are measured."""
        left = take_over(self._repository.fleet)
        if left is not None:
            self._work = left.work
            self._keeper.go_on(left.budgets)
        kept = left.books if left else {}
        self._took_over = bool(kept)
        sources = self._open_sources(
            lambda: self._work.cpu_s, {name: each.device.tick_s for name, each in kept.items()}
        )
        for meter in sources.meters:
            device = meter.device
            tick = "" if device.tick_s is None else f"{device.tick_s:.2g}"
            self._metrics.energy_source.labels(device.name, device.source, device.reader, tick).set(1)
        if not sources.meters:
            reasons = "; ".join(f"{found.reader}: {found.reason}" for found in sources.unavailable)
            log.warning("no energy source: %s", reasons)
        self._books = [Book(meter) for meter in sources.meters]
        going_on = {
            book.meter.device.name
            for book in self._books
            if book.meter.device.name in kept and book.go_on(kept[book.meter.device.name], time.perf_counter())
        }
        lost = kept.keys() - going_on
        if lost:
            log.warning("not found as the worker before had it, so counted anew: %s", ", ".join(sorted(lost)))
        self._sources = sources

    async def tick(self) -> None:
        """Brings what this worker has done up to date, and settles if it is the leader."""
        for model in self._repository.models.values():
            model.flush()
        self._repository.records.set_cpu_ns(time.process_time_ns())
        if self._sources is not None and self._ready:
            await self._poll(leisurely=True)
            self._keeper.feed(time.perf_counter(), self._books)
            self._snapshot = self._view()
            self._leave()
            self._export()
        else:
            snapshot = self._repository.fleet.read(SNAPSHOT)
            self._snapshot = orjson.loads(snapshot) if snapshot else self._snapshot
        fresh = time.perf_counter() - self._snapshot["at_s"] < FRESH_S
        self._delay(self._snapshot["delays"] if fresh else {})

    def _delay(self, delays: Mapping[str, float]) -> None:
        """Lets the batches of these models wait longer than usual, of no others."""
        for model in self._repository.models.values():
            model.wait_up_to(delays.get(model.key, 0.0))

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

    @property
    def _ready(self) -> bool:
        """Not while a lone worker's replacement brings up the models: the ledgers taken over would take them for unloaded."""
        return self._repository.settled or not self._took_over

    async def _poll(self, *, leisurely: bool = False) -> None:
        """Asks the counters that are due."""
        now_s = time.perf_counter()
        due = [book for book in self._books if self._ready and book.due(now_s, leisurely=leisurely)]
        if not due:
            return
        suspended = self._was_suspended()
        asked = self._books if suspended else due
        work = self._work.read(now_s)  # before the meters: an estimate goes by the CPU time in it
        if any(book.slow for book in asked):
            readings = await asyncio.to_thread(_read, asked)
            now_s = time.perf_counter()
            work = self._work.read(now_s)
        else:
            readings = _read(asked)
        for book, reading in zip(asked, readings, strict=True):
            booking = book.enter(now_s, reading, work, suspended=suspended)
            if booking is not None:
                self._booked.setdefault(book.meter.device.name, []).append(booking)

    def _was_suspended(self) -> bool:
        """Whether the host slept since the last call: the monotonic clock stood still, a counter may not have."""
        slept_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        before_s, self._slept_s = self._slept_s, slept_s
        return before_s is not None and slept_s - before_s > SUSPENDED_S

    def _leave(self) -> None:
        """What the other workers read, and the next leader. Before the metrics have it: a worker that dies in between takes
        a moment from them, but counts nothing twice."""
        fleet = self._repository.fleet
        try:
            if fleet.workers > 1:
                fleet.write(SNAPSHOT, orjson.dumps(self._snapshot))
            books = {book.meter.device.name: book.kept for book in self._books}
            leave(fleet, Handover(self._work, books, self._keeper.kept))
            self._left = True
        except OSError as error:
            forget(fleet)
            if self._left:
                log.warning("the ledgers cannot be kept, and this worker's end would end them: %s", error)
            self._left = False

    def _export(self) -> None:
        booked, self._booked = self._booked, {}
        for book in self._books:
            device = book.meter.device
            export(self._metrics, device, book.ledger, booked.get(device.name, []), self._rates)
        self._keeper.export()

    def _view(self) -> dict[str, Any]:
        keys = {key for book in self._books for key in book.ledger.accounts}
        return {
            "at_s": time.perf_counter(),
            "state": state_of([(book.meter.device, book.ledger) for book in self._books], self._sources, self._rates)
            | self._keeper.state,
            "watts": {"/".join(key): self._watts(key) for key in keys},
            "busy_watts": _sum([book.ledger.busy_watts for book in self._books]),
            "source": weakest(book.meter.device.source for book in self._books),
            "delays": self._keeper.delays,
        }

    def _watts(self, key: Key) -> float | None:
        """What the model uses while it is busy; None where a device cannot say yet."""
        return _sum([book.ledger.busy_watts_of(key) for book in self._books])


def _read(books: list[Book]) -> list[Reading]:
    return [book.read() for book in books]


def _sum(watts: list[float | None]) -> float | None:
    known = [each for each in watts if each is not None]
    return sum(known) if known and len(known) == len(watts) else None
