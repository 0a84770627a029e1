"""The models whose batches may come to wait longer to save energy: tried, logged and shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from joulebox.runtime.budget import figure
from joulebox.runtime.model import Model
from joulebox.runtime.saving import STANDS_S, Saving
from joulebox.runtime.spending import Uses
from joulebox.runtime.trial import PAIRS, Finding

log = logging.getLogger("joulebox.energy")


@dataclass
class Candidate:
    """A version of a model whose requests are joined, and whose batches usually wait less than they may."""

    model: str
    version: str
    saving: Saving
    source: str = "none"


class Savings:
    """Of all models that are served."""

    def __init__(self, longest_s: float) -> None:
        """None of them waits longer where `longest_s` is 0."""
        self._longest_s = longest_s
        self.candidates: dict[str, Candidate] = {}
        """By `Model.key`."""

    def feed(
        self,
        now_s: float,
        uses: Mapping[str, Uses],
        models: Iterable[Model],
        over: Callable[[str], bool],
        source: str,
    ) -> None:
        """Goes on with each.

        Args:
            uses: of each model so far, of the devices that measure: an estimate is no proof that waiting helps.
            models: those that are served.
            over: whether a model of that name is over its budget.
            source: of these joules.
        """
        before = self.candidates
        self.candidates = {
            model.key: before.get(model.key) or Candidate(model.name, model.version, Saving(self._longest_s))
            for model in models
            if model.could_wait(self._longest_s)
        }
        for each in self.candidates.values():
            each.source = source
            if each.saving.feed(now_s, uses.get(each.model, {}), over=over(each.model)):
                _tell(each)

    @property
    def delays(self) -> dict[str, float]:
        """How many seconds the batches of a model are to wait, of those that are to wait longer than usual."""
        delays = {key: each.saving.delay_s for key, each in self.candidates.items()}
        return {key: delay_s for key, delay_s in delays.items() if delay_s}

    @property
    def state(self) -> list[dict[str, Any]]:
        """What `/energy` answers; None where a value is not known."""
        return [_row(each) for each in self.candidates.values()]


def _row(each: Candidate) -> dict[str, Any]:
    finding = each.saving.finding
    return {
        "model": each.model,
        "version": each.version,
        "phase": each.saving.phase,
        "delay_ms": 1e3 * each.saving.delay_s,
        "source": each.source,
        "usual_joules_per_inference": finding and finding.usual_joules,
        "longer_joules_per_inference": finding and finding.longer_joules,
        "gain": finding and finding.gain,
        "gain_ci95": finding and [finding.gain - finding.error, finding.gain + finding.error],
    }


def _tell(each: Candidate) -> None:
    name, saving = each.model, each.saving
    longest_ms, minutes = 1e3 * saving.longer_s, STANDS_S / 60
    if saving.phase == "trying":
        log.info("%s: trying whether batches that wait up to %g ms need less energy", name, longest_ms)
    elif saving.phase == "off":
        log.info("%s: batches wait no longer than usual; waiting is tried anew if the budget is exceeded", name)
    elif saving.finding is None:
        log.info(
            "%s: too little was computed to tell whether waiting saves energy; not tried for %g min", name, minutes
        )
    elif saving.phase == "on":
        log.info(
            "%s: batches wait up to %g ms for %g min: %s",
            name,
            longest_ms,
            minutes,
            _found(saving.finding, each.source),
        )
    else:
        log.info(
            "%s: batches do not wait longer, not tried for %g min: %s",
            name,
            minutes,
            _found(saving.finding, each.source),
        )


def _found(finding: Finding, source: str) -> str:
    usual, longer = figure(finding.usual_joules, "J"), figure(finding.longer_joules, "J")
    gain, error = 100 * finding.gain, 100 * finding.error
    return f"waiting saved {gain:.1f} % ± {error:.1f} % ({longer} instead of {usual}, {source}, {PAIRS} pairs of turns)"
