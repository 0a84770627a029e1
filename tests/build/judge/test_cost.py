"""What an inference costs: joules above rest with their source and interval, or an explicit unknown, never 0."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulebox.energy import phase
from joulebox_build import steps
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import BuildError
from joulebox_build.judge import cost as costs
from joulebox_build.judge.cost import Cost, energy_sources, measure
from joulebox_build.judge.linear import Linear, to_onnx
from joulebox_build.stage import Stages
from laid import LaidHost

GIVEN = ModelInput("image", "FP32", (1, 2, 2), np.asarray)
SAMPLE = np.zeros((1, 1, 2, 2), np.float32)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("JOULEBOX_SYSFS", str(tmp_path / "sys"))
    monkeypatch.setenv("JOULEBOX_ENERGY_OFF", "nvml,pi")
    monkeypatch.delenv("JOULEBOX_CPU_WATTS", raising=False)
    return to_onnx(Linear(np.ones((4, 3), np.float32), np.ones(3, np.float32), 1, converged=True), GIVEN)


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LaidHost:
    host = LaidHost(tmp_path / "host")
    for name, value in host.environment.items():
        monkeypatch.setenv(name, value)
    return host


def measured(model: bytes) -> Cost:
    return measure([model], SAMPLE, energy_sources())


def test_unknown_joules_are_none_and_say_why(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    cost = measured(model)
    assert (cost.joules_per_inference, cost.total_joules_per_inference, cost.idle_watts) == (None, None, None)
    assert (cost.energy_source, cost.devices) == ("none", [])
    assert "rapl: " in cost.energy_note
    assert 0 < cost.latency_median_s <= cost.latency_p99_s


def test_an_estimate_is_labelled_as_one(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "5")
    cost = measured(model)
    assert (cost.energy_source, cost.devices) == ("estimated", ["cpu"])
    assert cost.joules_per_inference is not None
    assert cost.joules_per_inference > 0
    assert cost.ci95 is not None
    assert cost.ci95[0] <= cost.joules_per_inference <= cost.ci95[1]
    assert cost.total_joules_per_inference is None  # what it uses at rest is not known


def test_a_counter_is_preferred_and_what_it_says_at_rest_is_taken_off(
    model: bytes, laid: LaidHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "WORK_S", 0.3)
    with laid.running():
        cost = measured(model)
    assert (cost.energy_source, cost.devices) == ("measured", ["cpu-package-0"])
    assert (cost.turns, cost.turns_left_out) == (4, 0)
    assert cost.idle_watts == pytest.approx(10.0, rel=0.2)
    assert cost.joules_per_inference is not None
    assert cost.total_joules_per_inference is not None
    assert 0 < cost.joules_per_inference < cost.total_joules_per_inference


def test_a_counter_that_stands_still_is_unknown(model: bytes, laid: LaidHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phase, "ASSUMED_TICK_S", 0.01)
    monkeypatch.setattr(phase, "LATE_S", 0.05)
    cost = measured(model)
    assert laid.zone.exists()
    assert (cost.joules_per_inference, cost.energy_source) == (None, "measured")
    assert "cpu-package-0, at rest: the counter stood still" in cost.energy_note


def test_a_counter_too_slow_for_a_build_is_left_to_another_command(model: bytes, laid: LaidHost) -> None:
    cost = measured(model)
    assert laid.zone.exists()
    assert (cost.joules_per_inference, cost.energy_source) == (None, "none")
    assert cost.energy_note.startswith("cpu-package-0 would take over 30 s to tell, of a model that takes ")
    assert cost.energy_note.endswith("which is too long for a build: `joulebox measure` tells")
    assert cost.latency_median_s > 0


def test_without_any_source_a_slow_model_blames_no_device(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    monkeypatch.setattr(costs, "LIMIT_S", 0.0)  # as if it took long
    assert measured(model).energy_note.startswith("nvml: switched off")


def test_a_wrong_setting_is_the_users_fault(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "much")
    with pytest.raises(BuildError, match="JOULEBOX_CPU_WATTS='much'"):
        measured(model)


def test_another_source_of_energy_is_measured_anew(
    first_build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(first_build.built.job, stages=Stages(tmp_path / "stages"))
    fp32 = first_build.built.made.fp32
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "3:50")
    steps.cost(job, fp32)
    again = steps.cost(job, fp32)
    assert [made.cached for made in job.stages.log[-2:]] == [False, True]
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    off = steps.cost(job, fp32)
    assert not job.stages.log[-1].cached
    assert (again.idle_watts, off.idle_watts) == (3.0, None)
