"""Idle power, measured on purpose: the host is left at rest and watched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from joulebox.energy.phase import REAL, Timing, Used, observe, tick_of
from joulebox.energy.reader import Meter
from joulebox.energy.trial import TICKS, Say, settling_s
from joulebox.energy.turns import mean_and_error

CHUNKS_MIN, CHUNKS_MAX, CHUNK_S = 4, 12, 1.0
FEW = 3.0  # the spread of a few chunks is itself uncertain: its error is so many parts of their number wider


@dataclass(frozen=True)
class Rested:
    """One device at rest."""

    watts: float
    error_watts: float
    """One standard error of the mean, by the spread of the parts of the time."""
    seconds: float


def watch_rest(
    meters: Sequence[Meter], seconds: float, *, timing: Timing = REAL, say: Say = lambda _: None
) -> list[Rested | str]:
    """Each device's mean power over so many seconds, or why it is not known.

    It takes longer where devices tick slowly: at least four times ten ticks.
    """
    least_s = max([CHUNK_S, *(TICKS * tick_of(meter.device) for meter in meters)])
    chunks = min(CHUNKS_MAX, max(CHUNKS_MIN, math.floor(seconds / least_s)))
    chunk_s = max(least_s, seconds / chunks)
    found: list[list[Used]] = [[] for _ in meters]
    why: dict[int, str] = {}
    timing.sleep(settling_s(meters))
    for _ in range(chunks):
        for number, outcome in enumerate(observe(meters, chunk_s, 0.0, timing)):
            if isinstance(outcome, str):
                why[number] = outcome
            else:
                found[number].append(outcome)
        say(chunk_s)
    return [why[number] if number in why else _rested(used) for number, used in enumerate(found)]


def _rested(chunks: list[Used]) -> Rested:
    watts, error_watts = mean_and_error([chunk.watts for chunk in chunks])
    return Rested(watts, error_watts * (1 + FEW / len(chunks)), math.fsum(chunk.seconds for chunk in chunks))
