"""Measured where possible, else estimated, else none; always said which, and no joule twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import Device, Mark, open_sources, sources, with_ticks

READERS = ["nvml", "rapl", "jetson", "hwmon", "battery", "pi"]


class Found:
    """A meter whose value changes every 10 ms, and that cannot go on in another process."""

    def __init__(self, name: str, reader: str, domain: Any, within: str | None = None, joules: float = 0.0) -> None:
        self.device = Device(name, reader, "measured", "", domain=domain, within=within)
        self._joules = joules
        self.asked = 0

    def joules(self) -> float:
        return self._joules

    def sample(self) -> float:
        self.asked += 1
        return time.perf_counter() // 0.01

    def mark(self) -> Mark:
        return ()

    def resume(self, mark: Mark) -> None:
        raise AssertionError(mark)


PACKAGES = [Found("cpu-package-0", "rapl", "cpu"), Found("cpu-package-1", "rapl", "cpu")]
CORE = Found("cpu-core-0", "rapl", "part", "cpu-package-0")
DRAM = Found("dram-0", "rapl", "memory")
PSYS = Found("psys", "rapl", "system")
GPU = Found("gpu-0", "nvml", "gpu")
MODULE = Found("jetson-module", "jetson", "board")
RAIL = Found("jetson-vdd-soc", "jetson", "part", "jetson-module")
BATTERY = Found("battery", "battery", "system")
APU = Found("amdgpu-5", "hwmon", "cpu")


@pytest.mark.parametrize(
    ("found", "counting", "overlapping"),
    [
        pytest.param(
            [GPU, *PACKAGES, CORE, DRAM],
            {"gpu-0": None, "cpu-package-0": None, "cpu-package-1": None, "dram-0": None},
            {"cpu-core-0": "cpu-package-0"},
            id="server",
        ),
        pytest.param(
            [PACKAGES[0], CORE, PSYS, BATTERY],
            {"cpu-package-0": "psys"},
            {"cpu-core-0": "cpu-package-0", "psys": None, "battery": None},
            id="laptop",
        ),
        pytest.param(
            [GPU, MODULE, RAIL, BATTERY],
            {"jetson-module": "battery"},
            {"gpu-0": "jetson-module", "jetson-vdd-soc": "jetson-module", "battery": None},
            id="jetson-on-a-battery",
        ),
        pytest.param([PACKAGES[0], APU], {"cpu-package-0": None}, {"amdgpu-5": "cpu-package-0"}, id="apu"),
        pytest.param([APU], {"amdgpu-5": None}, {}, id="apu-alone"),
        pytest.param([PSYS, BATTERY], {"psys": None}, {"battery": None}, id="system-alone"),
        pytest.param([RAIL], {}, {"jetson-vdd-soc": "jetson-module"}, id="part-alone"),
        pytest.param([], {}, {}, id="nothing"),
    ],
)
def test_what_overlaps_is_never_added_up(
    found: list[Any], counting: dict[str, Any], overlapping: dict[str, Any]
) -> None:
    counted, others = sources.choose(found)
    assert {meter.device.name: meter.device.within for meter in counted} == counting
    assert {meter.device.name: meter.device.within for meter in others} == overlapping


def test_a_device_placed_anew_still_counts() -> None:
    (placed, *_), _ = sources.choose([Found("cpu-package-0", "rapl", "cpu", joules=2.5), PSYS])
    assert placed.device.within == "psys"
    assert placed.joules() == 2.5


def test_ticks_are_measured_of_what_counts() -> None:
    meters = tuple(sources.choose([GPU, *PACKAGES, PSYS])[0])
    ticked = with_ticks(sources.Sources(meters, ()), limit_s=0.3)
    for meter in ticked.meters:
        assert meter.device.tick_s == pytest.approx(0.01, rel=0.5)
    assert [meter.device.name for meter in ticked.meters] == [meter.device.name for meter in meters]


def test_an_estimate_has_no_tick(tmp_path: Path) -> None:
    found = open_sources({"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_ENERGY_OFF": "nvml,pi"})
    assert with_ticks(found) == found


def test_a_tick_that_is_known_is_not_measured_again() -> None:
    gpu = Found("gpu-0", "nvml", "gpu", joules=2.5)
    (ticked,) = with_ticks(sources.Sources((gpu,), ()), {"gpu-0": 0.02}).meters
    assert ticked.device.tick_s == 0.02
    assert gpu.asked == 0


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """A host without anything."""
    return {"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_PROCFS": str(tmp_path), "JOULEBOX_ENERGY_OFF": "nvml,pi"} | more


def test_without_a_counter_the_estimate_states_its_assumption(tmp_path: Path) -> None:
    found = open_sources(environment(tmp_path))
    (meter,) = found.meters
    assert meter.device.source == "estimated"
    assert "assumed 3 W per busy core" in meter.device.note
    assert [missing.reader for missing in found.unavailable] == READERS
    assert all(missing.reason for missing in found.unavailable)


def test_the_estimate_is_cpu_time_at_the_configured_power(tmp_path: Path) -> None:
    (meter,) = open_sources(environment(tmp_path, JOULEBOX_CPU_WATTS="10")).meters
    before, cpu_s = meter.joules(), time.process_time()
    while time.process_time() - cpu_s < 0.02:
        pass
    assert meter.joules() - before == pytest.approx(10 * (time.process_time() - cpu_s), rel=0.2)


def test_where_something_measures_there_is_no_estimate(tmp_path: Path) -> None:
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, content in (("name", "package-0"), ("energy_uj", "5"), ("max_energy_range_uj", "65532610987")):
        (zone / name).write_text(content)
    found = open_sources(environment(tmp_path, JOULEBOX_CPU_WATTS="10"))
    assert [meter.device.name for meter in found.meters] == ["cpu-package-0"]
    assert {missing.reader: missing.reason for missing in found.unavailable}["estimate"] == "not needed: rapl measures"


def test_where_only_a_gpu_measures_the_cpu_is_estimated_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sources.READERS, "nvml", lambda _sysfs: [GPU])
    found = open_sources({"JOULEBOX_SYSFS": str(tmp_path)})
    assert [(meter.device.name, meter.device.source) for meter in found.meters] == [
        ("gpu-0", "measured"),
        ("cpu", "estimated"),
    ]
    found = open_sources({"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_CPU_WATTS": "off"})
    assert [meter.device.name for meter in found.meters] == ["gpu-0"]


def test_with_the_estimate_off_there_is_none(tmp_path: Path) -> None:
    found = open_sources(environment(tmp_path, JOULEBOX_CPU_WATTS="off"))
    assert found.meters == ()
    assert [missing.reader for missing in found.unavailable] == [*READERS, "estimate"]


def test_a_reader_can_be_switched_off(tmp_path: Path) -> None:
    found = open_sources(environment(tmp_path, JOULEBOX_ENERGY_OFF=" rapl , nvml"))
    reasons = {missing.reader: missing.reason for missing in found.unavailable}
    assert reasons["rapl"] == reasons["nvml"] == "switched off by JOULEBOX_ENERGY_OFF"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("JOULEBOX_CPU_WATTS", "much"), ("JOULEBOX_CPU_WATTS", "nan"), ("JOULEBOX_ENERGY_OFF", "rapl,gpu")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(ValueError, match=setting):
        open_sources(environment(tmp_path) | {setting: value})
