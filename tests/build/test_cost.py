"""What an inference costs: joules with their source, or an explicit unknown, never 0."""

from pathlib import Path

import numpy as np
import pytest

from joulebox_build.baseline import Linear, to_onnx
from joulebox_build.cost import measure
from joulebox_build.errors import BuildError

SAMPLE = np.zeros((1, 1, 2, 2), np.float32)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("JOULEBOX_SYSFS", str(tmp_path / "sys"))
    monkeypatch.delenv("JOULEBOX_CPU_WATTS", raising=False)
    return to_onnx(Linear(np.ones((4, 3), np.float32), np.ones(3, np.float32), 1, converged=True), (1, 2, 2))


def test_unknown_joules_are_none_and_say_why(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    cost = measure(model, SAMPLE, seconds=0.02)
    assert cost.joules_per_inference is None
    assert cost.energy_source == "none"
    assert "rapl: " in cost.energy_note
    assert 0 < cost.latency_median_s <= cost.latency_p99_s


def test_an_estimate_is_labelled_as_one(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "5")
    cost = measure(model, SAMPLE, seconds=0.2)
    assert cost.energy_source == "estimated"
    assert cost.joules_per_inference is not None
    assert 0 < cost.joules_per_inference < 5 * 0.2


def test_a_counter_is_preferred_and_its_steps_are_what_counts(model: bytes, tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("1000\n")
    (zone / "max_energy_range_uj").write_text("100000\n")
    cost = measure(model, SAMPLE, seconds=0.02)
    assert cost.energy_source == "measured"
    assert cost.joules_per_inference == 0  # the counter stood still, which is known


def test_a_wrong_setting_is_the_users_fault(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "much")
    with pytest.raises(BuildError, match="JOULEBOX_CPU_WATTS='much'"):
        measure(model, SAMPLE, seconds=0.02)
