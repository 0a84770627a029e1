"""Chips of the hwmon class, as docs.kernel.org/hwmon/sysfs-interface.html and the drivers named in hwmon.py have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.hwmon import MOST_DEVICES, probe


def found(sysfs: Path) -> dict[str, Any]:
    meters = probe(sysfs)
    assert not isinstance(meters, Unavailable), meters
    return {meter.device.name: meter for meter in meters}


def test_an_amd_card_says_its_power(lay: Any) -> None:
    card = "class/hwmon/hwmon3"
    tree = {
        f"{card}/name": "amdgpu",
        f"{card}/power1_average": 35_000_000,
        f"{card}/power1_label": "PPT",
        f"{card}/power1_cap": 220_000_000,
        f"{card}/device/mem_info_vram_vendor": "samsung",
    }
    meter = found(lay(tree))["amdgpu-3"]
    assert (meter.device.domain, meter.device.source, meter.device.unit) == ("gpu", "integrated", "uW")
    assert meter.sample() == 35_000_000
    meter.joules()
    assert meter.joules() < 35


def test_an_amd_gpu_within_a_cpu_is_the_cpu_s_package(lay: Any) -> None:
    tree = {"class/hwmon/hwmon5/name": "amdgpu", "class/hwmon/hwmon5/power1_input": 8_000_000}
    assert found(lay(tree))["amdgpu-5"].device.domain == "cpu"


def test_an_intel_card_counts_its_energy(lay: Any) -> None:
    card = "class/hwmon/hwmon4"
    tree = {
        f"{card}/name": "xe",
        f"{card}/energy1_input": 5_000_000,
        f"{card}/energy1_label": "card",
        f"{card}/energy2_input": 3_000_000,
        f"{card}/energy2_label": "pkg",
    }
    meters = found(lay(tree))
    assert list(meters) == ["xe-4"], "the package lies within the card"
    lay({f"{card}/energy1_input": 7_500_000})
    assert meters["xe-4"].joules() == pytest.approx(2.5)
    assert meters["xe-4"].device.source == "measured"


def test_amd_sockets_are_read_and_their_cores_are_not(lay: Any) -> None:
    chip = "class/hwmon/hwmon2"
    tree: dict[str, object] = {f"{chip}/name": "amd_energy"}
    for number, label in enumerate(["Ecore000", "Ecore001", "Esocket0", "Esocket1"], 1):
        tree |= {f"{chip}/energy{number}_input": number, f"{chip}/energy{number}_label": label}
    meters = found(lay(tree))
    assert {name: meter.sample() for name, meter in meters.items()} == {"amd_energy-2-0": 3, "amd_energy-2-1": 4}
    assert {meter.device.domain for meter in meters.values()} == {"cpu"}


def test_a_server_s_power_meter_is_of_the_whole_system(lay: Any) -> None:
    tree = {"class/hwmon/hwmon0/name": "power_meter", "class/hwmon/hwmon0/power1_average": 180_000_000}
    assert found(lay(tree))["power_meter-0"].device.domain == "system"


def test_a_jetson_s_monitors_are_left_to_their_reader(lay: Any) -> None:
    tree = {
        "class/hwmon/hwmon5/name": "ina238",
        "class/hwmon/hwmon5/power1_input": 23_000_000,
        "bus/i2c/drivers/ina3221/2-0040/name": "ina3221",
    }
    assert isinstance(probe(lay(tree)), Unavailable)


def test_other_chips_are_named_and_not_guessed_at(lay: Any) -> None:
    missing = probe(lay({"class/hwmon/hwmon0/name": "nvme", "class/hwmon/hwmon1/name": "coretemp"}))
    assert isinstance(missing, Unavailable)
    assert "nvme, coretemp" in missing.reason


def test_a_chip_that_fails_at_once_is_said(lay: Any) -> None:
    missing = probe(lay({"class/hwmon/hwmon0/name": "power_meter", "class/hwmon/hwmon0/power1_average": "n/a"}))
    assert isinstance(missing, Unavailable)
    assert "power1_average" in missing.reason


def test_there_are_only_so_many(lay: Any) -> None:
    tree: dict[str, object] = {}
    for number in range(40):
        tree |= {f"class/hwmon/hwmon{number}/name": "xe", f"class/hwmon/hwmon{number}/energy1_input": 1}
    assert len(found(lay(tree))) == MOST_DEVICES


def test_a_counter_that_falls_is_unknown(lay: Any) -> None:
    tree = {"class/hwmon/hwmon4/name": "i915", "class/hwmon/hwmon4/energy1_input": 5_000_000}
    meter = found(lay(tree))["i915-4"]
    lay({"class/hwmon/hwmon4/energy1_input": 1})
    with pytest.raises(ReadError, match="reset"):
        meter.joules()
