"""Two models on a device whose truth is known, in simulated time, and the samplers that read its counter."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from joulebox.energy import Device, ReadError, Sources, Unavailable
from joulebox.energy.counter import CounterMeter
from joulebox.metrics import Metrics
from joulebox.runtime import sampler as samplers
from joulebox.runtime.fleet import Fleet
from joulebox.runtime.keeper import Keeper
from joulebox.runtime.records import Records
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import Settings

DEVICE = Device("cpu-package-0", "rapl", "measured", "a test")
IDLE_WATTS, WATTS = 20.0, {"big": 60.0, "small": 25.0}
ITEM_S = 0.01


class Host:
    """Its time and energy pass when they are told to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, budgets: str | None = None) -> None:
        self.now_s, self.slept_s, self.joules = 100.0, 0.0, 1000.0
        self.broken = False
        self.cpu_ns = 0
        self.budgets = budgets
        self.takes: Callable[[], None] = lambda: None
        self.registries: list[CollectorRegistry] = []
        self._folder = folder
        self._shared = Records(folder / "work-1")
        self._records = {name: self._shared.open(name, "1") for name in WATTS}
        monkeypatch.setattr(
            samplers,
            "time",
            SimpleNamespace(
                perf_counter=lambda: self.now_s,
                process_time_ns=lambda: self.cpu_ns,
                clock_gettime=lambda clock: self.now_s + self.slept_s * (clock == "boot"),
                CLOCK_BOOTTIME="boot",
                CLOCK_MONOTONIC="monotonic",
            ),
        )
        self.lead()

    def lead(self) -> None:
        """A worker begins to read the counter."""
        self.fleet = Fleet(self._folder, len(self.registries) + 1, 2)
        self.registries.append(CollectorRegistry())
        repository: Any = SimpleNamespace(models={}, records=self._shared, fleet=self.fleet, settled=True)
        metrics = Metrics(self.registries[-1])
        keeper = Keeper(Settings(energy_budgets=self.budgets), repository, metrics)
        self.sampler = Sampler(self.sources, repository, metrics, keeper)
        assert self.fleet.lead()
        self.sampler.open()
        self.ticks()

    def die(self) -> None:
        """The worker that reads it is killed: the kernel drops its lock."""
        os.close(self.fleet._leading)

    def sources(self, _cpu_s: object, _ticks: object) -> Sources:
        meter = CounterMeter(DEVICE, self._read, 1e-6, 2**40, clock=lambda: self.now_s + self.slept_s)
        return Sources((meter,), (Unavailable("nvml", "no driver"),))

    def _read(self) -> int:
        self.takes()
        if self.broken:
            raise ReadError("gone")
        return round(self.joules * 1e6)

    def runs(self, seconds: float, busy: Callable[[int], dict[str, float]] = lambda _tick: {}) -> None:
        """So many seconds, in each quarter of which models run for a part of it."""
        for tick in range(round(seconds * 4)):
            self.passes(0.25, busy(tick))
            self.ticks()

    def passes(self, seconds: float, parts: dict[str, float]) -> None:
        """Time in which models run for a part of it, and nobody asks."""
        self.now_s += seconds
        self.joules += IDLE_WATTS * seconds + sum(WATTS[name] * seconds * part for name, part in parts.items())
        for name, part in parts.items():
            if part:
                self._records[name].executed(round(seconds * part / ITEM_S), round(seconds * 1e9 * part))

    def ticks(self) -> None:
        asyncio.run(self.sampler.tick())

    def sample(self, name: str, **labels: str) -> float | None:
        """Of all workers together, as when they are scraped."""
        found = [registry.get_sample_value(name, labels) for registry in self.registries]
        known = [value for value in found if value is not None]
        return sum(known) if known else None


def varied(tick: int) -> dict[str, float]:
    return {"big": 0.08 * (tick % 11), "small": 0.08 * (tick % 7)}
