"""What an inference costs on this machine: seconds, and joules with their source."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from joulebox.energy.reader import ReadError
from joulebox.energy.sources import Sources, open_sources
from joulebox_build.errors import BuildError
from joulebox_build.inference import run, session

WARM_UP = 20  # inferences
MEASURE_S = 0.5
NO_SOURCE = "none"


@dataclass(frozen=True)
class Cost:
    """Figures of this machine: of one inference at a time, on one thread of ONNX Runtime's CPU provider."""

    latency_median_s: float
    latency_p99_s: float
    joules_per_inference: float | None
    energy_source: str  # measured, integrated, estimated, or none where joules are unknown
    energy_note: str


def measure(model: bytes, sample: NDArray[np.float32], *, seconds: float = MEASURE_S) -> Cost:
    """Runs the sample `[1, C, H, W]` again and again, for so long.

    Raises:
        BuildError: a setting of the energy sources is wrong.
    """
    ready = session(model, threads=1)
    for _ in range(WARM_UP):
        run(ready, sample)
    meter = _Meter()
    taken_s = _run_for(ready, sample, seconds)
    joules = meter.joules()
    return Cost(
        float(np.median(taken_s)),
        float(np.quantile(taken_s, 0.99)),
        None if joules is None else joules / len(taken_s),
        meter.source,
        meter.note,
    )


def _run_for(ready: onnxruntime.InferenceSession, sample: NDArray[np.float32], seconds: float) -> list[float]:
    taken_s: list[float] = []
    end = time.perf_counter() + seconds
    while not taken_s or time.perf_counter() < end:
        started = time.perf_counter()
        run(ready, sample)
        taken_s.append(time.perf_counter() - started)
    return taken_s


class _Meter:
    """All that this host's CPU packages use from now on, idle power and neighbours included where a counter measures it."""

    def __init__(self) -> None:
        try:
            found: Sources = open_sources(os.environ)
        except ValueError as error:
            raise BuildError(str(error)) from error
        self._meters = found.meters
        sources = {meter.device.source for meter in found.meters}
        self.source = min(sources) if sources else NO_SOURCE
        devices = [f"{meter.device.name}: {meter.device.note}" for meter in found.meters]
        self.note = "; ".join(devices or [f"{missing.reader}: {missing.reason}" for missing in found.unavailable])
        self._start_joules = self._read()

    def joules(self) -> float | None:
        now = self._read()
        return None if now is None or self._start_joules is None else now - self._start_joules

    def _read(self) -> float | None:
        try:
            return sum(meter.joules() for meter in self._meters) if self._meters else None
        except ReadError as error:
            self.source, self.note = NO_SOURCE, str(error)
            return None
