"""An estimate is a stated model, never more, and always labelled so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import Unavailable
from joulebox.energy.estimate import EstimateMeter, Power, check, probe

XEON = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {}\nmodel name\t: Intel(R) Xeon(R)\nstepping\t: {}\n\n"
EPYC = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: AMD {} Processor\nstepping\t: 1\n"


def meter(tmp_path: Path, setting: str | None = None, cpuinfo: str = "", cores: int = 4) -> EstimateMeter:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    found = probe(setting, 2, lambda: 0.0, tmp_path, cores)
    assert not isinstance(found, Unavailable)
    return found


def test_idle_and_maximum_make_a_line_by_utilisation(clock: Any) -> None:
    cpu_s = 0.0
    found = EstimateMeter(Power(10.0, 20.0, "configured"), 2, lambda: cpu_s, clock)
    clock.sleep(5)
    cpu_s = 3.0
    assert found.joules() == pytest.approx(5 * 20 + 3 * 10)
    cpu_s = 1.0  # a worker ended
    assert found.joules() == pytest.approx(130)
    assert (found.device.busy_watts, found.device.idle_watts, found.device.source) == (20.0, 20.0, "estimated")


def test_the_host_s_watts_are_spread_over_its_cores(tmp_path: Path) -> None:
    device = meter(tmp_path, "12:52").device
    assert (device.idle_watts, device.busy_watts) == (12.0, 20.0)
    assert "configured 12:52 W over 4 cores" in device.note


def test_watts_per_core_know_nothing_of_idle_power(tmp_path: Path) -> None:
    device = meter(tmp_path, "4.5", XEON.format(143, 8)).device
    assert (device.idle_watts, device.busy_watts) == (None, 9.0)


@pytest.mark.parametrize(
    ("cpuinfo", "name", "watts"),
    [
        (XEON.format(85, 4), "Skylake", 3.49),
        (XEON.format(85, 7), "Cascade Lake", 3.37),
        (XEON.format(106, 6), "Ice Lake", 2.99),
        (XEON.format(143, 8), "Sapphire Rapids", 3.12),
        (EPYC.format(23, 49, "EPYC 7742 64-Core"), "EPYC 2", 1.22),
        (EPYC.format(25, 17, "EPYC 9654 96-Core"), "EPYC 4", 1.54),
    ],
)
def test_a_known_cpu_is_taken_from_the_dated_table(tmp_path: Path, cpuinfo: str, name: str, watts: float) -> None:
    device = meter(tmp_path, None, cpuinfo).device
    assert f"{name} server CPU (SPECpower results of 2026-03-09" in device.note
    assert device.busy_watts == pytest.approx(2 * watts)
    assert device.idle_watts is not None


@pytest.mark.parametrize(
    "cpuinfo",
    [
        pytest.param("", id="nothing"),
        pytest.param(
            "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n", id="raspberry-pi-5"
        ),
        pytest.param(XEON.format(85, 11), id="cooper-lake"),
        pytest.param(EPYC.format(23, 49, "Ryzen Threadripper 3990X"), id="threadripper"),
        pytest.param(XEON.format(158, 10).replace("Xeon", "Core"), id="client"),
        pytest.param("cpu family\t: six\nmodel\t: 1\n", id="damaged"),
    ],
)
def test_another_one_is_assumed(tmp_path: Path, cpuinfo: str) -> None:
    device = meter(tmp_path, None, cpuinfo).device
    assert device.note.startswith("assumed 3 W per busy core")
    assert device.idle_watts is None


@pytest.mark.parametrize("setting", ["much", "-1", "0", "nan", "5:", "65:12", "5:5", "1:2:3", "inf:inf", "0:20000"])
def test_a_wrong_setting_is_named_with_what_was_expected(setting: str) -> None:
    with pytest.raises(ValueError, match=r"JOULEBOX_CPU_WATTS=.*such as 12:65"):
        check(setting)


@pytest.mark.parametrize("setting", [None, "", "off", "4.5", "12:65", "0:5"])
def test_a_right_one_is_not(setting: str | None) -> None:
    check(setting)
