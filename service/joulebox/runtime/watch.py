"""The energy budgets of this server: what each model has used is judged, counted, logged and shown."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from joulebox.metrics import Metrics
from joulebox.runtime.budget import EVERY, Budget, Unit, budgets_of, figure
from joulebox.runtime.spending import Uses, Window, rate
from joulebox.runtime.verdict import Verdict

log = logging.getLogger("joulebox.energy")

UNITS: dict[Unit, str] = {"J": "joules_per_inference", "W": "watts"}


@dataclass
class Watched:
    """One model under one budget."""

    model: str
    budget: Budget
    verdict: Verdict
    since: str | None = None
    """When it came to be over, or within."""


class Watch:
    """Judges models by their budgets."""

    def __init__(self, budgets: tuple[Budget, ...], metrics: Metrics) -> None:
        self.budgets = budgets
        self._metrics = metrics
        self.watched: dict[tuple[str, Unit], Watched] = {}
        """By the model's name and the budget's unit."""
        self._windows: dict[tuple[str, Unit], Window] = {}
        self._exceeded: dict[str, int] = {}  # windows by model, since the last export

    @property
    def names(self) -> set[str]:
        """The models that are named."""
        return {budget.model for budget in self.budgets} - {EVERY}

    def feed(self, now_s: float, uses: Mapping[str, Uses], served: Collection[str], source: str) -> None:
        """Judges each model that has a budget.

        Args:
            uses: of each model so far.
            served: the names of the models that are.
            source: of the joules.
        """
        found = [(name, budget) for name in {*served, *self.names} for budget in budgets_of(name, self.budgets)]
        before, windows = self.watched, self._windows
        self.watched = {
            (name, budget.unit): before.get((name, budget.unit))
            or Watched(name, budget, Verdict(budget.limit, budget.window_s))
            for name, budget in sorted(found, key=lambda each: each[0])
        }
        self._windows = {key: windows.get(key) or Window(each.budget.window_s) for key, each in self.watched.items()}
        for key, each in self.watched.items():
            used = self._windows[key].feed(now_s, uses.get(each.model, {}))
            self._judge(each, now_s, rate(used, each.budget.unit, seconds=each.budget.window_s), source)

    def export(self, served: Collection[str]) -> None:
        """Counts the windows that were over; from 0, or a rate would not see the first one."""
        for model, windows in self._exceeded.items():
            if windows or model in served:
                self._metrics.budget_exceeded.labels(model).inc(windows)
        self._exceeded.clear()

    def over(self, model: str) -> bool:
        """Whether it is over one of its budgets."""
        return any(each.verdict.over for each in self.watched.values() if each.model == model)

    def state(self, source: str) -> list[dict[str, Any]]:
        """What `/energy` answers; None where a value is not known."""
        return [
            {
                "model": each.model,
                "unit": UNITS[each.budget.unit],
                "limit": each.budget.limit,
                "window_seconds": each.budget.window_s,
                "figure": each.verdict.figure,
                "source": source,
                "over": each.verdict.over,
                "since": each.since,
            }
            for each in self.watched.values()
        ]

    def _judge(self, each: Watched, now_s: float, used: float | None, source: str) -> None:
        verdict, budget = each.verdict, each.budget
        was, counted = verdict.over, verdict.exceeded
        changed = verdict.feed(now_s, used)
        self._exceeded[each.model] = self._exceeded.get(each.model, 0) + verdict.exceeded - counted
        if not changed:
            return
        each.since = None if verdict.over is None else _now()
        if verdict.over and used is not None:
            log.warning(
                "%s is over its energy budget of %s: %s (%s)", each.model, budget, figure(used, budget.unit), source
            )
        elif was and used is not None:
            log.info(
                "%s is within its energy budget of %s: %s (%s)", each.model, budget, figure(used, budget.unit), source
            )
        elif was:
            log.info(
                "%s can not be judged by its energy budget of %s any more: too little is known", each.model, budget
            )


def _now() -> str:
    return datetime.fromtimestamp(time.time(), timezone.utc).isoformat(timespec="seconds")
