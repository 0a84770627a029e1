"""Keeps the models to their energy budgets: in the worker that leads, at each of its ticks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from joulebox.energy import Source, weakest
from joulebox.metrics import Metrics
from joulebox.runtime.book import Book
from joulebox.runtime.budget import Unit, parse_budgets
from joulebox.runtime.repository import Repository
from joulebox.runtime.savings import Candidate, Savings
from joulebox.runtime.settings import Settings
from joulebox.runtime.spending import Spending
from joulebox.runtime.watch import Watch, Watched

log = logging.getLogger("joulebox.energy")


@dataclass(frozen=True)
class KeptBudgets:
    """What a keeper needs to go on in another process: all but the windows, which are large and soon full again."""

    spending: Spending
    watched: dict[tuple[str, Unit], Watched]
    candidates: dict[str, Candidate]
    checked: bool


class Keeper:
    """Budgets, and the delays that save energy where one is exceeded."""

    def __init__(self, settings: Settings, repository: Repository, metrics: Metrics) -> None:
        self._repository = repository
        self._spending = Spending()
        self._watch = Watch(parse_budgets(settings.energy_budgets or ""), metrics)
        self._savings = Savings(settings.energy_saving_ms / 1e3)
        self._saves = settings.energy_saving_ms > 0
        self._source = weakest([])
        self._checked = False

    @property
    def kept(self) -> KeptBudgets:
        """Where it stands."""
        return KeptBudgets(self._spending, self._watch.watched, self._savings.candidates, self._checked)

    def go_on(self, kept: KeptBudgets) -> None:
        """Goes on from another process's keeper."""
        self._spending, self._checked = kept.spending, kept.checked
        self._watch.watched, self._savings.candidates = kept.watched, kept.candidates

    def feed(self, now_s: float, books: Sequence[Book]) -> None:
        """Judges what has been settled by now.

        Args:
            now_s: on a monotonic clock.
        """
        if self._watch.budgets:
            self._judge(now_s, books)
        if self._repository.settled and not self._checked:
            self._checked = True
            self._check([book.meter.device.source for book in books])

    def export(self) -> None:
        """Brings the metrics up to date."""
        self._watch.export(self._repository.models)

    @property
    def state(self) -> dict[str, Any]:
        """What `/energy` answers of it."""
        return {"budgets": self._watch.state(self._source), "savings": self._savings.state}

    @property
    def delays(self) -> dict[str, float]:
        """How many seconds a model's batches are to wait, of those that are to wait longer than usual; by `Model.key`."""
        return self._savings.delays

    def _judge(self, now_s: float, books: Sequence[Book]) -> None:
        models = self._repository.models
        sources: dict[str, Source] = {book.meter.device.name: book.meter.device.source for book in books}
        uses = self._spending.feed({book.meter.device.name: book.ledger.accounts for book in books})
        self._source = weakest(sources.values())
        self._watch.feed(now_s, uses, models, self._source)
        measures = [device for device, source in sources.items() if source != "estimated"]
        measured = {name: {device: used[device] for device in measures} for name, used in uses.items()}
        source = weakest(sources[device] for device in measures)
        self._savings.feed(now_s, measured, models.values(), self._watch.over, source)

    def _check(self, sources: list[Source]) -> None:
        """Says which settings come to nothing, as far as is known once the models are up."""
        served = self._repository.models
        for name in sorted(self._watch.names - served.keys()):
            log.warning(
                "JOULEBOX_ENERGY_BUDGETS names %r, which is not served (served: %s); its budget holds once it is loaded",
                name,
                ", ".join(sorted(served)) or "none",
            )
        if self._saves and not self._watch.budgets:
            log.warning("JOULEBOX_ENERGY_SAVING_MS has no effect: no model has an energy budget")
        elif self._saves and all(source == "estimated" for source in sources):
            log.warning("JOULEBOX_ENERGY_SAVING_MS has no effect: nothing measures energy, and an estimate is no proof")
