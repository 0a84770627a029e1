"""What happens on a host, and what it uses: loads of bursts, batches and clocks, their power, and the joules of each model.

Power is constant between the instants at which something changes, so that energy at any time is exact. At any instant it is
idle power and what each running model's own cores switch, at the clock of that instant. That is the truth about whose joules they
are where power does not add up over time: if one model's load raises the clock for all, each pays for its own work at that
clock, and under a power cap all are scaled down alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from clocks import FIXED, Clock, Floats, Governor
from numpy.typing import NDArray

BATCH_S = 0.6  # of an item's time is the same for a batch of any size
BATCH_WATTS = 0.25  # power rises with the batch's size to this power: by a half from 1 to 5
DONE_S = 1e-7  # of work: less is rounding


@dataclass(frozen=True)
class Load:
    """One model's bursts: exponential lengths at the fastest clock, and pauses; whole batches, of one size in a burst."""

    watts: float
    """While it runs alone items at the fastest clock."""
    burst_s: float
    pause_s: float
    item_s: float = 0.01
    begins_s: float = 0.0
    batches: tuple[int, ...] = (1,)
    """Sizes, one as likely as the other."""
    turns: tuple[float, float] = (math.inf, 1.0)
    """When its power changes, and by what factor: other inputs."""

    def batch_s(self, size: int) -> float:
        """Busy time of a batch at the fastest clock: less for each item, the larger it is."""
        return self.item_s * (BATCH_S + (1 - BATCH_S) * size)

    def power(self, sizes: NDArray[np.int64], times: Floats) -> Floats:
        """Watts at the fastest clock while such batches run; none at a size of 0."""
        watts = self.watts * np.where(sizes > 0, np.maximum(1, sizes) ** BATCH_WATTS, 0.0)
        return watts * np.where(times >= self.turns[0], self.turns[1], 1.0)


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
    governor: Governor = FIXED
    suspended_s: tuple[float, ...] = ()
    """When it was suspended. Its clock stands still meanwhile, its counter may not."""
    clock_steps_s: tuple[tuple[float, float], ...] = ()
    """When the clock that the sampler reads jumps, and by how much."""


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
    clocks: Floats
    """[S], each a part of the fastest."""
    finished: tuple[Floats, ...]
    """Of each model: when each item was, those of a batch together."""

    def at(self, cumulative: Floats, times: Floats) -> Floats:
        return np.interp(times, self.instants, cumulative)

    def items(self, model: int, times: Floats) -> NDArray[np.int64]:
        return np.searchsorted(self.finished[model], times, side="right")

    def joules_per_item(self, model: int) -> float:
        return float(self.dynamic[model, -1] / max(1, len(self.finished[model])))


@dataclass
class _Runner:
    """A load as it runs."""

    load: Load
    rng: np.random.Generator
    size: int = 0
    """Of the batches that run; 0 while nothing does."""
    batches: list[tuple[float, int]] = field(default_factory=list)
    """Of every batch so far: the work until it is done, in seconds at the fastest clock, and its items."""
    _begins_s: float = 0.0
    _left_s: float = 0.0
    _work_s: float = 0.0

    def __post_init__(self) -> None:
        self._pause(self.load.begins_s)

    def _pause(self, at_s: float) -> None:
        self.size = 0
        self._begins_s = at_s + self.rng.exponential(self.load.pause_s)

    def _burst(self) -> None:
        self.size = int(self.rng.choice(self.load.batches))
        each_s = self.load.batch_s(self.size)
        count = max(1, round(self.rng.exponential(self.load.burst_s) / each_s))
        self.batches += [(self._work_s + number * each_s, self.size) for number in range(1, count + 1)]
        self._left_s = count * each_s

    def until_s(self, at_s: float, clock: float) -> float:
        """When it begins or ends, at this clock."""
        return at_s + self._left_s / clock if self.size else self._begins_s

    def advance(self, at_s: float, until_s: float, clock: float) -> float:
        """Goes on until then; gives the work done."""
        if not self.size:
            if until_s >= self._begins_s:
                self._burst()
            return 0.0
        done_s = (until_s - at_s) * clock
        self._left_s -= done_s
        self._work_s += done_s
        if self._left_s < DONE_S:
            self._pause(until_s)
        return done_s


@dataclass
class _Steps:
    """What was so between two instants."""

    ends_s: list[float] = field(default_factory=list)
    clocks: list[float] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)


def simulate(host: Host, seed: int) -> Truth:
    """Lets the loads run and adds up what they use."""
    runners = [_Runner(load, np.random.default_rng([seed, model])) for model, load in enumerate(host.loads)]
    steps = _run(host, runners)
    instants = np.array([0.0, *steps.ends_s])
    middle, length, clocks = (instants[1:] + instants[:-1]) / 2, np.diff(instants), np.array(steps.clocks)
    sizes = np.array(steps.sizes).T.reshape(len(runners), len(middle))
    wanted = np.array([load.power(row, middle) for load, row in zip(host.loads, sizes, strict=True)])
    wanted = wanted.reshape(sizes.shape) * host.governor.power(clocks)
    idle = host.idle_watts * (1 + host.idle_drift * middle / host.seconds)
    if host.cap_watts is not None:
        most = np.maximum(0.0, host.cap_watts - idle)
        wanted = wanted * np.minimum(1.0, most / np.maximum(wanted.sum(axis=0), 1e-9))
    joules = _sums((idle + wanted.sum(axis=0)) * length)
    work = _sums((sizes > 0) * length * clocks)
    finished = tuple(_finished(runner, row, instants) for runner, row in zip(runners, work, strict=True))
    return Truth(host, instants, joules, _sums(wanted * length), _sums((sizes > 0) * length), clocks, finished)


def _run(host: Host, runners: list[_Runner]) -> _Steps:
    clock, steps, at_s = Clock(host.governor, len(runners)), _Steps(), 0.0
    marks = _marks(host)
    mark_s = next(marks)
    while at_s < host.seconds:
        sizes = [runner.size for runner in runners]
        speed = clock.now(sum(size > 0 for size in sizes))
        until_s = min([mark_s, clock.due_s, *(runner.until_s(at_s, speed) for runner in runners)])
        clock.advance(until_s, [runner.advance(at_s, until_s, speed) for runner in runners])
        if until_s > at_s:
            steps.ends_s.append(until_s)
            steps.clocks.append(speed)
            steps.sizes.append(sizes)
        if until_s >= mark_s:
            mark_s = next(marks, math.inf)
        at_s = until_s
    return steps


def _marks(host: Host) -> Iterator[float]:
    """When power changes by itself, in order; the end is the last."""
    drifts = np.arange(1.0, host.seconds, 1.0).tolist() if host.idle_drift else []
    turns = [load.turns[0] for load in host.loads]
    yield from sorted(each for each in {*drifts, *turns, host.seconds} if 0 < each <= host.seconds)


def _finished(runner: _Runner, work: Floats, instants: Floats) -> Floats:
    """When each item was done, of those that were."""
    ends = np.array([end_s for end_s, size in runner.batches for _ in range(size)])
    ends = ends[ends <= work[-1] + DONE_S]
    # A little before its end a batch still runs; at its end a pause may have begun, in which no work is done.
    return np.interp(ends - 2 * DONE_S, work, instants)


def _sums(steps: Floats) -> Floats:
    zero = np.zeros((*steps.shape[:-1], 1))
    return np.concatenate([zero, np.cumsum(steps, axis=-1)], axis=-1)
