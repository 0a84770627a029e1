"""Feeds a ledger with what a sampler would see of a simulated device, and holds its figures beside the truth."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from clocks import Floats
from counters import Counter, Polls, polls
from history import Host, Truth, simulate

from joulebox.energy import Key, Ledger, ReadError, Work
from joulebox.energy.counter import Accumulator


@dataclass(frozen=True)
class Outcome:
    """A ledger after it saw everything, beside the truth."""

    truth: Truth
    seen: Polls
    told: Floats
    """What the meter said at each poll; NaN where it could not tell."""
    ledger: Ledger

    @property
    def fed_joules(self) -> float:
        """What the meter counted."""
        return float(np.nanmax(self.told, initial=0.0))

    def error(self, model: int) -> float:
        """Relative, of joules per item; infinite where the ledger does not know."""
        account = self.ledger.accounts.get(key(model))
        mean = account.joules_per_item if account else None
        return np.inf if mean is None else mean / self.truth.joules_per_item(model) - 1

    def error_by_busy_time(self, model: int) -> float:
        """Had all but idle energy (its true power) been shared by busy time alone, between polls that show a change."""
        truth = self.truth
        changed = np.flatnonzero(np.diff(self.told, prepend=-1.0) > 0)
        times, joules = self.seen.times[changed], self.told[changed]
        busy = np.array([np.diff(truth.at(each, times)) for each in truth.busy])
        dynamic = np.maximum(0.0, np.diff(joules) - truth.host.idle_watts * np.diff(times))
        share = (dynamic * busy[model] / np.maximum(busy.sum(axis=0), 1e-12)).sum()
        begun, done = truth.items(model, times[[0, -1]])
        return share / (done - begun) / truth.joules_per_item(model) - 1

    def holds(self, model: int) -> bool | None:
        """Whether the stated interval holds the truth; None where there is none."""
        interval = self.ledger.ci95(key(model))
        return None if interval is None else interval[0] <= self.truth.joules_per_item(model) <= interval[1]


def key(model: int) -> Key:
    return f"m{model}", "1"


def run(host: Host, counter: Counter, seed: int = 0, ledger: Ledger | None = None) -> Outcome:
    """Reads the counter with a real meter, and does with it what the sampler's book does."""
    truth = simulate(host, seed)
    seen = polls(truth, counter, seed)
    told = _metered(seen, counter)
    ledger = ledger or Ledger(tick_s=counter.tick_s if counter.known_tick else None)
    models = range(len(host.loads))
    busy = [truth.at(truth.busy[model], seen.times).tolist() for model in models]
    items = [truth.items(model, seen.times).tolist() for model in models]
    woke = np.diff(seen.slept_s, prepend=0.0) > 0
    polled = zip((seen.times + seen.jumped_s).tolist(), told.tolist(), seen.hold.tolist(), strict=True)
    for number, (at_s, joules, hold) in enumerate(polled):
        work = {key(model): Work(busy[model][number], items[model][number]) for model in models}
        if woke[number]:
            ledger.feed(at_s, None, work)
        ledger.feed(at_s, None if np.isnan(joules) else joules, work, hold=hold)
    return Outcome(truth, seen, told, ledger)


def _metered(seen: Polls, counter: Counter) -> Floats:
    """What a meter makes of the counter; NaN where it cannot tell."""
    clock_s, units = (seen.times + seen.slept_s + seen.jumped_s).tolist(), seen.units.tolist()
    number = 0
    meter = Accumulator(counter.quantum_joules, counter.range_units, lambda: clock_s[number])
    told = np.full(len(units), np.nan)
    for number, gone in enumerate(seen.gone):
        if gone:
            meter.restart()
            continue
        with suppress(ReadError):
            told[number] = meter.add(units[number])
    return told
