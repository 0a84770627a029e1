"""The sampler, over a counter and models whose truth is known: `/energy`, `/metrics` and the truth agree."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from joulebox.energy import Device, ReadError, Sources, Unavailable
from joulebox.metrics import Metrics
from joulebox.runtime import sampler as samplers
from joulebox.runtime.fleet import Fleet
from joulebox.runtime.keeper import NOTHING, Keeper
from joulebox.runtime.pace import Pace
from joulebox.runtime.records import Records
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import Settings

IDLE_WATTS, WATTS = 20.0, {"big": 60.0, "small": 25.0}
ITEM_S = 0.01


class Meter:
    """A counter of joules that a test moves."""

    def __init__(self) -> None:
        self.device = Device("cpu-package-0", "rapl", "measured", "a test")
        self.total = 0.0
        self.broken = False
        self.takes: Callable[[], None] = lambda: None

    def joules(self) -> float:
        self.takes()
        if self.broken:
            raise ReadError("gone")
        return self.total


class Host:
    """Two models on a device, in simulated time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.meter, self.metrics = Meter(), Metrics(CollectorRegistry())
        self.now_s, self.slept_s = 100.0, 0.0
        records = Records(folder / "work-1")
        self._records = {name: records.open(name, "1") for name in WATTS}
        repository: Any = SimpleNamespace(models={}, records=records, fleet=Fleet(folder, 1, 1), settled=True)
        monkeypatch.setattr(
            samplers,
            "time",
            SimpleNamespace(
                perf_counter=lambda: self.now_s,
                process_time_ns=lambda: 0,
                clock_gettime=lambda clock: self.now_s + self.slept_s * (clock == "boot"),
                CLOCK_BOOTTIME="boot",
                CLOCK_MONOTONIC="monotonic",
            ),
        )
        sources = Sources((self.meter,), (Unavailable("nvml", "no driver"),))
        keeper = Keeper(Settings(), repository, self.metrics)
        self.sampler = Sampler(lambda _cpu_s: sources, repository, self.metrics, keeper)
        self.sampler.open()

    def runs(self, seconds: float, busy: Callable[[int], dict[str, float]] = lambda _tick: {}) -> None:
        """So many seconds, in each quarter of which models run for a part of it."""
        for tick in range(round(seconds * 4)):
            parts = busy(tick)
            self.now_s += 0.25
            self.meter.total += IDLE_WATTS * 0.25 + sum(WATTS[name] * 0.25 * part for name, part in parts.items())
            for name, part in parts.items():
                if part:
                    self._records[name].executed(round(0.25 * part / ITEM_S), round(0.25e9 * part))
            asyncio.run(self.sampler.tick())

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics._registry.get_sample_value(name, labels)


def varied(tick: int) -> dict[str, float]:
    return {"big": 0.08 * (tick % 11), "small": 0.08 * (tick % 7)}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_the_state_and_the_metrics_agree_with_the_truth(host: Host) -> None:
    host.runs(10)
    host.runs(120, varied)
    state = host.sampler.state
    (device,) = state["devices"]
    booked = (
        device["idle_joules"] + device["unattributed_joules"] + sum(row["dynamic_joules"] for row in state["models"])
    )
    assert booked == pytest.approx(device["joules_total"], rel=1e-9)
    assert device["idle_watts"] == pytest.approx(IDLE_WATTS, rel=1e-3)
    assert (device["idle_source"], device["nonlinear"], device["gaps"]) == ("learnt", False, 0)
    assert device["unattributed_share"] == pytest.approx(device["unattributed_joules"] / device["joules_total"])
    assert device["settled"] == 519
    assert state["unavailable"] == [{"reader": "nvml", "reason": "no driver"}]
    for row in state["models"]:
        assert row["joules_per_inference"] == pytest.approx(WATTS[row["model"]] * ITEM_S, rel=0.02)
        assert row["watts"] == pytest.approx(WATTS[row["model"]], rel=0.02)
        assert row["ci95"][0] < row["joules_per_inference"] < row["ci95"][1]
        labels = {"model": row["model"], "version": "1", "device": "cpu-package-0", "source": "measured"}
        for part in ("dynamic", "idle"):
            exported = host.sample("joulebox_inference_energy_joules_total", **labels, part=part)
            assert exported == pytest.approx(row[f"{part}_joules"])
        assert host.sample("joulebox_energy_per_inference_joules_count", **labels) == row["inferences"]
    labels = {"device": "cpu-package-0", "source": "measured"}
    assert host.sample("joulebox_device_energy_joules_total", **labels) == pytest.approx(device["joules_total"])
    assert host.sample("joulebox_device_idle_energy_joules_total", **labels) == pytest.approx(device["idle_joules"])
    assert host.sample("joulebox_device_power_watts", **labels) == pytest.approx(device["watts"])
    reasons = {
        reason: host.sample("joulebox_device_unattributed_energy_joules_total", **labels, reason=reason)
        for reason in device["unattributed"]
    }
    assert reasons == pytest.approx(device["unattributed"])


def test_what_is_not_known_is_null_and_has_no_series(host: Host) -> None:
    host.runs(60, lambda _tick: {"big": 1.0})
    (device,) = host.sampler.state["devices"]
    big = host.sampler.state["models"][0]
    assert (device["idle_watts"], device["idle_joules"], device["idle_source"]) == (None, None, None)
    assert (big["joules_per_inference"], big["idle_joules"], big["ci95"], big["watts"]) == (None, None, None, None)
    assert set(device["unattributed"]) == {"starting", "idle_unknown"}
    text = host.metrics.render().decode()
    assert "joulebox_inference_energy_joules_total{" not in text
    assert "joulebox_device_idle_energy_joules_total{" not in text


def test_a_suspended_host_leaves_a_gap(host: Host) -> None:
    host.runs(10)
    before = host.sampler.state["devices"][0]["joules_total"]
    host.slept_s += 3600.0
    host.meter.total += 3600.0
    host.runs(0.25)
    device = host.sampler.state["devices"][0]
    assert (device["gaps"], device["joules_total"], device["watts"]) == (1, before, None)
    host.runs(1)
    assert host.sampler.state["devices"][0]["joules_total"] == pytest.approx(before + 20)


def test_a_counter_that_cannot_be_read_is_unknown_until_it_can(host: Host) -> None:
    host.runs(10)
    host.meter.broken = True
    host.runs(5)
    assert host.sampler.state["devices"][0]["watts"] is None
    watts = host.sample("joulebox_device_power_watts", device="cpu-package-0", source="measured")
    assert watts is not None
    assert math.isnan(watts)
    host.meter.broken = False
    host.runs(10)
    device = host.sampler.state["devices"][0]
    assert device["watts"] == pytest.approx(IDLE_WATTS)
    assert device["unknown_seconds"] > 4


def test_a_counter_that_is_slow_to_read_is_asked_at_leisure(host: Host) -> None:
    """NVML's takes milliseconds, which the event loop would lose: a thread asks it."""
    (book,) = host.sampler._books
    book.pace = Pace(0.1)
    threads: list[str] = []

    def slowly() -> None:
        threads.append(threading.current_thread().name)
        time.sleep(0.002)

    host.meter.takes = slowly
    host.runs(5)
    assert book.pace.tick_s is None
    assert threads[0] == "MainThread"
    assert threads[-1] != "MainThread"
    assert host.sampler.state["devices"][0]["watts"] == pytest.approx(IDLE_WATTS)


def test_a_figure_over_several_devices_names_the_weakest_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path, monkeypatch)
    cpu = Meter()
    cpu.device = Device("cpu", "estimate", "estimated", "a test", busy_watts=4.0)
    host.sampler._open_sources = lambda _cpu_s: Sources((host.meter, cpu), ())
    host.sampler.open()
    host.runs(1)
    assert host.sampler._snapshot["source"] == "estimated"


def test_every_worker_lets_batches_wait_as_the_leader_says(tmp_path: Path) -> None:
    """Only the leader has a keeper that decides; the other one reads what it leaves."""
    waited: dict[int, float] = {}

    def worker(number: int, delays: dict[str, float]) -> Sampler:
        model = SimpleNamespace(
            key="tiny/1", flush=lambda: None, wait_up_to=lambda seconds: waited.__setitem__(number, seconds)
        )
        records = Records(tmp_path / f"work-{number}")
        repository: Any = SimpleNamespace(models={"tiny": model}, records=records, fleet=Fleet(tmp_path, number, 2))
        keeper: Any = SimpleNamespace(feed=lambda _now_s, _books: None, state=NOTHING, delays=delays)
        return Sampler(lambda _cpu_s: Sources((), ()), repository, Metrics(CollectorRegistry()), keeper)

    delays = {"tiny/1": 0.05}
    leader, other = worker(1, delays), worker(2, {})
    leader.open()
    asyncio.run(other.tick())
    assert waited == {2: 0.0}, "nobody has said anything yet"
    asyncio.run(leader.tick())
    asyncio.run(other.tick())
    assert waited == {1: 0.05, 2: 0.05}
    assert other.state == leader.state
    delays.clear()
    asyncio.run(leader.tick())
    asyncio.run(other.tick())
    assert waited == {1: 0.0, 2: 0.0}
