"""How a device tells its joules, and what a sampler that asks it sees: ticks, noise, quanta, wraps, resets, gaps, clocks that jump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from clocks import Floats
from history import Host, Truth
from numpy.typing import NDArray

POLLS_PER_TICK = 20  # how finely the sampler asks about the time at which a tick is due
COARSEST_POLL_S = 0.25
SETTLE_S = 0.1
SUSPENSION_S = 600.0
UNIT_JOULES = 1e-6


@dataclass(frozen=True)
class Counter:
    """A counter of energy."""

    tick_s: float = 0.1
    noise: float = 0.0
    """Standard deviation of a tick's joules, relative."""
    quantum_joules: float = UNIT_JOULES
    wraps_joules: float | None = None
    """One of 32 bits wraps at 4295 J where it counts microjoules."""
    resets_s: tuple[float, ...] = ()
    gone_s: tuple[float, float] = (0.0, 0.0)
    """While it cannot be read."""
    known_tick: bool = True

    @property
    def range_units(self) -> int | None:
        return None if self.wraps_joules is None else round(self.wraps_joules / self.quantum_joules)


@dataclass(frozen=True)
class Polls:
    """What a sampler sees: two polls an update, the last that does not show it and the first that does."""

    times: Floats
    """When they were, in truth."""
    units: NDArray[np.int64]
    """The counter, in quanta."""
    hold: NDArray[np.bool_]
    """The first of the two polls, where ticks were left out before it."""
    gone: NDArray[np.bool_]
    """It cannot be read."""
    slept_s: Floats
    """For how long the host had been suspended so far."""
    jumped_s: Floats
    """How far the sampler's clock had jumped so far."""


def polls(truth: Truth, counter: Counter, seed: int) -> Polls:
    """The counter's updates, and when they are seen."""
    rng, host = np.random.default_rng([seed, 1, 1]), truth.host
    ticks = np.arange(rng.uniform(0, counter.tick_s), host.seconds, counter.tick_s)
    shown = _shown(truth, counter, ticks, rng)
    times, hold = _times(counter, ticks, host.seconds, rng)
    last = np.searchsorted(ticks, times, side="right") - 1
    times, hold, last = times[last >= 0], hold[last >= 0], last[last >= 0]
    begin, end = counter.gone_s
    gone = (times >= begin) & (times < end)
    slept_s = _slept(host, times)
    raw = shown[last] + host.idle_watts * slept_s  # it went on meanwhile
    units = np.floor(raw / counter.quantum_joules).astype(np.int64)
    units = units if counter.range_units is None else units % counter.range_units
    return Polls(times, units, hold, gone, slept_s, _jumped(host, times))


def _times(
    counter: Counter, ticks: Floats, seconds: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    if counter.tick_s * POLLS_PER_TICK < COARSEST_POLL_S:  # several updates between two polls
        times = np.arange(rng.uniform(0, COARSEST_POLL_S), seconds, COARSEST_POLL_S)
        return times + rng.uniform(0, 0.01, len(times)), np.zeros(len(times), dtype=bool)
    step = counter.tick_s / POLLS_PER_TICK
    every = max(1, round(SETTLE_S / counter.tick_s))
    after = ticks[1::every] + rng.uniform(0, step, len(ticks[1::every]))
    return np.stack([after - step, after], axis=1).ravel(), np.tile([every > 1, False], len(after))


def _shown(truth: Truth, counter: Counter, ticks: Floats, rng: np.random.Generator) -> Floats:
    """Joules after each tick, from the last reset on."""
    steps = np.diff(truth.at(truth.joules, ticks), prepend=0.0)
    steps *= np.maximum(0.0, 1 + counter.noise * rng.standard_normal(len(ticks)))
    joules = np.cumsum(steps)
    for at in counter.resets_s:
        after = ticks >= at
        joules[after] -= joules[after][:1].sum()
    return joules


def _slept(host: Host, times: Floats) -> Floats:
    return sum((SUSPENSION_S * (times >= at) for at in host.suspended_s), np.zeros(len(times)))


def _jumped(host: Host, times: Floats) -> Floats:
    return sum((by * (times >= at) for at, by in host.clock_steps_s), np.zeros(len(times)))
