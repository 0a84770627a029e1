"""The sampler, over a counter and models whose truth is known: `/energy`, `/metrics` and the truth agree."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from joulebox.energy import Sources
from joulebox.energy.estimate import EstimateMeter, Power
from joulebox.metrics import Metrics
from joulebox.runtime.fleet import Fleet
from joulebox.runtime.keeper import Keeper
from joulebox.runtime.pace import Pace
from joulebox.runtime.records import Records
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import Settings
from sampled import IDLE_WATTS, ITEM_S, WATTS, Host, varied


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
    assert device["settled"] == 520
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
    text = generate_latest(host.registries[0]).decode()
    assert "joulebox_inference_energy_joules_total{" not in text
    assert "joulebox_device_idle_energy_joules_total{" not in text


def test_a_suspended_host_leaves_a_gap(host: Host) -> None:
    host.runs(10)
    before = host.sampler.state["devices"][0]["joules_total"]
    host.slept_s += 3600.0
    host.joules += 3600.0
    host.runs(0.25)
    device = host.sampler.state["devices"][0]
    assert (device["gaps"], device["joules_total"], device["watts"]) == (1, before, None)
    host.runs(3)
    device = host.sampler.state["devices"][0]
    assert device["joules_total"] == pytest.approx(before + IDLE_WATTS * (3.25 - device["unknown_seconds"]))


def test_a_counter_that_cannot_be_read_is_unknown_until_it_can(host: Host) -> None:
    host.runs(10)
    host.broken = True
    host.runs(5)
    assert host.sampler.state["devices"][0]["watts"] is None
    watts = host.sample("joulebox_device_power_watts", device="cpu-package-0", source="measured")
    assert watts is not None
    assert math.isnan(watts)
    host.broken = False
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

    host.takes = slowly
    host.runs(5)
    assert book.pace.tick_s is None
    assert threads[0] == "MainThread"
    assert threads[-1] != "MainThread"
    assert host.sampler.state["devices"][0]["watts"] == pytest.approx(IDLE_WATTS)


def test_a_figure_over_several_devices_names_the_weakest_source(host: Host) -> None:
    estimate = EstimateMeter(Power(4.0, None, "a test"), 1, lambda: 0.0)
    measured = host.sources(None, None)
    host.sampler._open_sources = lambda _cpu_s, _ticks: Sources((*measured.meters, estimate), ())
    host.sampler.open()
    host.runs(1)
    assert host.sampler._snapshot["source"] == "estimated"


def test_every_worker_lets_batches_wait_as_the_leader_says(tmp_path: Path) -> None:
    """Only the leader's keeper decides; the other worker reads what it leaves."""
    waited: dict[int, float] = {}

    def worker(number: int) -> tuple[Sampler, Keeper]:
        model = SimpleNamespace(
            name="tiny",
            version="1",
            key="tiny/1",
            flush=lambda: None,
            could_wait=lambda _seconds: True,
            wait_up_to=lambda seconds: waited.__setitem__(number, seconds),
        )
        records, fleet = Records(tmp_path / f"work-{number}"), Fleet(tmp_path, number, 2)
        repository: Any = SimpleNamespace(models={"tiny": model}, records=records, fleet=fleet, settled=True)
        metrics = Metrics(CollectorRegistry())
        settings = Settings(energy_budgets="tiny=1W", energy_saving_ms=50)
        keeper = Keeper(settings, repository, metrics)
        return Sampler(lambda _cpu_s, _ticks: Sources((), ()), repository, metrics, keeper), keeper

    (leader, keeper), (other, _) = worker(1), worker(2)
    leader.open()
    asyncio.run(other.tick())
    assert waited == {2: 0.0}, "nobody has said anything yet"
    asyncio.run(leader.tick())
    keeper._savings.candidates["tiny/1"].saving.phase = "on"
    keeper._savings.candidates["tiny/1"].saving._until_s = math.inf
    asyncio.run(leader.tick())
    asyncio.run(other.tick())
    assert waited == {1: 0.05, 2: 0.05}
    assert other.state == leader.state
    keeper._savings.candidates.clear()
    asyncio.run(leader.tick())
    asyncio.run(other.tick())
    assert waited == {1: 0.0, 2: 0.0}


def test_estimated_energy_goes_to_the_request_that_used_the_cpu(host: Host) -> None:
    """One request of 30 ms now and then: its CPU time and its busy time are those of one interval."""
    host.sampler._open_sources = lambda cpu_s, _ticks: Sources(
        (EstimateMeter(Power(3.0, None, "a test"), 1, cpu_s, clock=lambda: host.now_s),), ()
    )
    host.sampler.open()
    host.ticks()
    for _ in range(40):
        host.passes(0.25, {"big": 0.12})
        host.cpu_ns += 30_000_000
        host.ticks()
        host.ticks()
        host.runs(0.75)
    (row,) = [row for row in host.sampler.state["models"] if row["model"] == "big"]
    assert row["dynamic_joules"] == pytest.approx(40 * 0.03 * 3.0, rel=0.05)
