"""Devices whose truth is known: power as a function of what runs, seen through a counter with ticks, noise, quanta and wraps.

Power is constant between the instants at which something begins or ends, so that energy at any time is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulebox.energy import Key, Ledger, Work

Floats = NDArray[np.float64]
POLLS_PER_TICK = 20  # how finely the sampler asks about the time at which a tick is due
COARSEST_POLL_S = 0.25
SETTLE_S = 0.1


@dataclass(frozen=True)
class Load:
    """One model's bursts: exponential lengths and pauses; each item takes the same busy time."""

    watts: float
    burst_s: float
    pause_s: float
    item_s: float = 0.01
    begins_s: float = 0.0


TWO = {
    "gaps": (Load(60, 0.4, 1.6), Load(25, 0.3, 1.9)),
    "overlapping": (Load(60, 0.4, 0.3), Load(25, 0.3, 0.4)),
    "short": (Load(60, 0.03, 0.1), Load(25, 0.02, 0.12)),
}
"""60 W and 25 W: idle now and then, hardly ever idle, and inferences shorter than a tick."""
FIVE = (Load(60, 0.4, 0.6), Load(40, 0.3, 0.7), Load(25, 0.3, 0.9), Load(10, 0.2, 0.8), Load(30, 0.2, 60.0))
"""The last one is rare."""


@dataclass(frozen=True)
class Host:
    """A device and what runs on it."""

    loads: tuple[Load, ...]
    idle_watts: float = 20.0
    seconds: float = 300.0
    cap_watts: float | None = None
    idle_drift: float = 0.0
    """By how much of itself idle power has grown at the end."""
    scaling: Callable[[Floats, Floats], Floats] | None = None
    """Of (time [S], running [M, S]): a factor on dynamic power, as clocks make it."""


@dataclass(frozen=True)
class Counter:
    """How a device tells its joules."""

    tick_s: float = 0.1
    noise: float = 0.0
    """Standard deviation of a tick's joules, relative."""
    quantum_joules: float = 0.0
    wraps_joules: float | None = None
    """A 32-bit counter of microjoules wraps at 4295."""
    resets_s: tuple[float, ...] = ()
    gone_s: tuple[float, float] = (0.0, 0.0)
    """While it cannot be read."""
    known_tick: bool = True


@dataclass(frozen=True)
class Truth:
    """What really happened."""

    host: Host
    instants: Floats
    """[S + 1]"""
    joules: Floats
    """[S + 1], of the device, cumulative."""
    dynamic: Floats
    """[M, S + 1], of each model, cumulative."""
    busy: Floats
    """[M, S + 1], seconds, cumulative."""

    def at(self, cumulative: Floats, times: Floats) -> Floats:
        return np.interp(times, self.instants, cumulative)

    def items(self, model: int, times: Floats) -> NDArray[np.int64]:
        done = self.at(self.busy[model], times) / self.host.loads[model].item_s
        return np.floor(done + 1e-9).astype(np.int64)

    def joules_per_item(self, model: int) -> float:
        end = np.array([self.host.seconds])
        return float(self.at(self.dynamic[model], end)[0] / max(1, self.items(model, end)[0]))


def key(model: int) -> Key:
    return f"m{model}", "1"


def simulate(host: Host, seed: int) -> Truth:
    """Draws the bursts and adds up what they use."""
    rng = np.random.default_rng(seed)
    bursts = [_bursts(load, host.seconds, rng) for load in host.loads]
    grid = np.arange(0.0, host.seconds + 1, 1.0 if host.idle_drift or host.scaling else host.seconds)
    instants = np.unique(np.concatenate([np.array([0.0, host.seconds]), grid, *(each.ravel() for each in bursts)]))
    instants = instants[instants <= host.seconds]
    middle, length = (instants[1:] + instants[:-1]) / 2, np.diff(instants)
    running = np.array([_running(each, middle) for each in bursts]).reshape(len(bursts), len(middle))
    wanted = np.array([load.watts for load in host.loads])[:, None] * running
    if host.scaling is not None:
        wanted = wanted * host.scaling(middle, running)
    idle = host.idle_watts * (1 + host.idle_drift * middle / host.seconds)
    total = wanted.sum(axis=0)
    if host.cap_watts is not None:
        wanted = wanted * np.minimum(1.0, (host.cap_watts - idle) / np.maximum(total, 1e-9))
    power = idle + wanted.sum(axis=0)
    return Truth(host, instants, _sums(power * length), _sums(wanted * length), _sums(running * length))


def _bursts(load: Load, seconds: float, rng: np.random.Generator) -> Floats:
    """[N, 2], begin and end."""
    count = int(2 * seconds / (load.burst_s + load.pause_s)) + 20
    steps = np.stack([rng.exponential(load.pause_s, count), rng.exponential(load.burst_s, count)], axis=1)
    edges = load.begins_s + np.cumsum(steps.ravel())
    bursts = edges.reshape(-1, 2)
    return np.minimum(bursts[bursts[:, 0] < seconds], seconds)


def _running(bursts: Floats, times: Floats) -> Floats:
    begun = np.searchsorted(bursts[:, 0], times, side="right")
    ended = np.searchsorted(bursts[:, 1], times, side="right")
    return (begun > ended).astype(np.float64)


def _sums(steps: Floats) -> Floats:
    zero = np.zeros((*steps.shape[:-1], 1))
    return np.concatenate([zero, np.cumsum(steps, axis=-1)], axis=-1)


@dataclass(frozen=True)
class Polls:
    """What a sampler sees: two polls an update, the last that does not show it and the first that does."""

    times: Floats
    joules: Floats
    """As a meter tells them, wraps taken care of; NaN where it cannot be read."""
    hold: NDArray[np.bool_]
    """The first of the two polls, where ticks were left out before it."""


def polls(truth: Truth, counter: Counter, seed: int) -> Polls:
    """The counter's updates, when they are seen, and nothing while it cannot be read."""
    seen = _polls(truth, counter, seed)
    begin, end = counter.gone_s
    gone = (seen.times >= begin) & (seen.times < end)
    return Polls(seen.times, np.where(gone, np.nan, seen.joules), seen.hold)


def _polls(truth: Truth, counter: Counter, seed: int) -> Polls:
    """The counter's updates, and when they are seen.

    A reset is seen by the meter as the counter falling: as real readers do, it takes that for a wrap where there is one.
    """
    rng = np.random.default_rng([seed, 1])
    ticks = np.arange(rng.uniform(0, counter.tick_s), truth.host.seconds, counter.tick_s)
    shown = _shown(truth, counter, ticks, rng)
    if counter.tick_s * POLLS_PER_TICK < COARSEST_POLL_S:  # several updates between two polls
        times = np.arange(rng.uniform(0, COARSEST_POLL_S), truth.host.seconds, COARSEST_POLL_S)
        times += rng.uniform(0, 0.01, len(times))
        last = np.searchsorted(ticks, times, side="right") - 1
        return Polls(times[last >= 0], shown[last[last >= 0]], np.zeros(int((last >= 0).sum()), dtype=bool))
    step = counter.tick_s / POLLS_PER_TICK
    every = max(1, round(SETTLE_S / counter.tick_s))
    after = ticks[1::every] + rng.uniform(0, step, len(ticks[1::every]))
    times = np.stack([after - step, after], axis=1).ravel()
    last = np.searchsorted(ticks, times, side="right") - 1
    return Polls(times, shown[last], np.tile([every > 1, False], len(after)))


def _shown(truth: Truth, counter: Counter, ticks: Floats, rng: np.random.Generator) -> Floats:
    """What a meter says at each tick."""
    steps = np.diff(truth.at(truth.joules, ticks), prepend=0.0)
    steps *= np.maximum(0.0, 1 + counter.noise * rng.standard_normal(len(ticks)))
    raw = np.cumsum(steps)
    for at in counter.resets_s:
        after = ticks >= at
        raw[after] -= raw[after][:1].sum()
    if counter.quantum_joules:
        raw = np.floor(raw / counter.quantum_joules) * counter.quantum_joules
    if counter.wraps_joules is None:
        return raw
    wrapped = np.mod(raw, counter.wraps_joules)
    forward = np.diff(wrapped, prepend=wrapped[0])
    return np.cumsum(np.where(forward < 0, forward + counter.wraps_joules, forward))


@dataclass(frozen=True)
class Outcome:
    """A ledger after it saw everything, beside the truth."""

    truth: Truth
    ledger: Ledger
    by_busy_time: tuple[float, ...]
    """Joules per item, had all but idle energy (its true power) been shared by busy time alone."""
    fed_joules: float
    """By which the counter grew."""

    def error(self, model: int) -> float:
        """Relative, of joules per item; infinite where the ledger does not know."""
        mean = self.ledger.accounts[key(model)].joules_per_item if key(model) in self.ledger.accounts else None
        return np.inf if mean is None else mean / self.truth.joules_per_item(model) - 1

    def error_by_busy_time(self, model: int) -> float:
        return self.by_busy_time[model] / self.truth.joules_per_item(model) - 1

    def holds(self, model: int) -> bool | None:
        """Whether the stated interval holds the truth; None where there is none."""
        interval = self.ledger.ci95(key(model))
        return None if interval is None else interval[0] <= self.truth.joules_per_item(model) <= interval[1]


def run(host: Host, counter: Counter, seed: int = 0, ledger: Ledger | None = None) -> Outcome:
    """Feeds a ledger with what a sampler would see of a host."""
    truth = simulate(host, seed)
    seen = polls(truth, counter, seed)
    ledger = ledger or Ledger(tick_s=counter.tick_s if counter.known_tick else None)
    models = range(len(host.loads))
    busy = [truth.at(truth.busy[model], seen.times).tolist() for model in models]
    items = [truth.items(model, seen.times).tolist() for model in models]
    polled = zip(seen.times.tolist(), seen.joules.tolist(), seen.hold.tolist(), strict=True)
    for number, (at_s, joules, hold) in enumerate(polled):
        work = {key(model): Work(busy[model][number], items[model][number]) for model in models}
        ledger.feed(at_s, None if np.isnan(joules) else joules, work, hold=hold)
    return Outcome(truth, ledger, _by_busy_time(truth, seen), float(np.nanmax(seen.joules) - np.nanmin(seen.joules)))


def _by_busy_time(truth: Truth, seen: Polls) -> tuple[float, ...]:
    """Between polls that show a change, and with the true idle power."""
    changed = np.flatnonzero(np.diff(seen.joules, prepend=-1.0) > 0)
    times, joules = seen.times[changed], seen.joules[changed]
    busy = np.array([np.diff(truth.at(each, times)) for each in truth.busy])
    dynamic = np.maximum(0.0, np.diff(joules) - truth.host.idle_watts * np.diff(times))
    shares = dynamic * busy / np.maximum(busy.sum(axis=0), 1e-12)
    items = [truth.items(model, times[[0, -1]]) for model in range(len(busy))]
    return tuple(float(row.sum() / max(1, each[1] - each[0])) for row, each in zip(shares, items, strict=True))
