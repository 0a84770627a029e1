"""Jetson rails, on trees as the boards have them. JetPack 5 and later: drivers/hwmon/ina3221.c makes in1..in3 (mV),
curr1..curr3 (mA), in4..in6 (shunt) and in7 (their sum, labelled "sum of shunt voltages"); labels and channels are those of
arch/arm64/boot/dts/nvidia/tegra234-p3701.dtsi and -p3767.dtsi (Orin) and tegra194-p2888.dtsi (AGX Xavier). JetPack 4: NVIDIA's
ina3221x makes an iio device with rail_name_N and in_powerN_input (mW), N from 0; rails by L4T 32's device trees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.jetson import probe


def ina3221(
    chip: str, hwmon: int, rails: Sequence[tuple[str, int, int] | None], driver: str = "ina3221"
) -> dict[str, object]:
    """A chip's files; by channel its label, mV and mA, or None for one that the device tree disables."""
    path = f"bus/i2c/drivers/{driver}/{chip}/hwmon/hwmon{hwmon}"
    files: dict[str, object] = {
        f"{path}/name": "ina3221",
        f"{path}/in7_label": "sum of shunt voltages",
        f"{path}/in7_input": 98,
        f"{path}/curr4_input": 19_600,
        f"{path}/update_interval": 1,
    }
    for channel, rail in enumerate(rails, 1):
        files[f"{path}/in{channel}_enable"] = 0 if rail is None else 1
        if rail is not None:
            label, millivolts, milliamperes = rail
            files |= {
                f"{path}/in{channel}_label": label,
                f"{path}/in{channel}_input": millivolts,
                f"{path}/curr{channel}_input": milliamperes,
                f"{path}/in{channel + 3}_input": 12,
            }
    return files


def ina3221x(chip: str, rails: Sequence[tuple[str, int]]) -> dict[str, object]:
    """JetPack 4: by channel its name and mW."""
    path = f"bus/i2c/drivers/ina3221x/{chip}/iio:device0"
    files: dict[str, object] = {f"{path}/name": "ina3221x"}
    for channel, (name, milliwatts) in enumerate(rails):
        files |= {
            f"{path}/rail_name_{channel}": name,
            f"{path}/in_power{channel}_input": milliwatts,
            f"{path}/in_voltage{channel}_input": 5000,
            f"{path}/in_current{channel}_input": milliwatts // 5,
        }
    return files


ORIN_NANO = ina3221("1-0040", 1, [("VDD_IN", 5000, 1400), ("VDD_CPU_GPU_CV", 5000, 400), ("VDD_SOC", 5000, 300)])
AGX_ORIN = {
    **ina3221("1-0040", 3, [("VDD_GPU_SOC", 20_000, 150), ("VDD_CPU_CV", 20_000, 50), ("VIN_SYS_5V0", 5000, 800)]),
    **ina3221("1-0041", 4, [("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 200), ("NC", 0, 0)]),
}
AGX_ORIN_MAINLINE = {
    **ina3221("1-0040", 3, [("VDD_GPU_SOC", 20_000, 150), ("VDD_CPU_CV", 20_000, 50), ("VIN_SYS_5V0", 5000, 800)]),
    **ina3221("1-0041", 4, [None, ("VDDQ_VDD2_1V8AO", 5000, 200), None]),
}
AGX_XAVIER_JETPACK_4 = {
    **ina3221x("1-0040", [("GPU", 1000), ("CPU", 2000), ("SOC", 1500)]),
    **ina3221x("1-0041", [("CV", 0), ("VDDRQ", 300), ("SYS5V", 2200)]),
}
AGX_XAVIER_JETPACK_5 = {
    **ina3221("1-0040", 3, [("GPU", 20_000, 50), ("CPU", 20_000, 100), ("SOC", 20_000, 75)]),
    **ina3221("1-0041", 4, [("CV", 20_000, 0), ("VDDRQ", 20_000, 15), ("SYS5V", 5000, 440)]),
}
XAVIER_NX_JETPACK_4 = ina3221x("7-0040", [("VDD_IN", 4200), ("VDD_CPU_GPU_CV", 900), ("VDD_SOC", 1100)])
NANO_JETPACK_4 = ina3221x("6-0040", [("POM_5V_IN", 2500), ("POM_5V_GPU", 300), ("POM_5V_CPU", 700)])
THOR_MODULE = ina3221(
    "2-0040", 3, [("VDD_GPU", 12_000, 0), ("VDD_CPU_SOC_MSS", 12_000, 543), ("VIN_SYS_5V0", 5000, 1304)]
)
THOR_KIT = {**THOR_MODULE, "bus/i2c/drivers/ina238/2-0044/hwmon/hwmon5/power1_input": 23_000_000}


def found(sysfs: Path) -> dict[str, Any]:
    meters = probe(sysfs)
    assert not isinstance(meters, Unavailable), meters
    return {meter.device.name: meter for meter in meters}


@pytest.mark.parametrize(
    ("tree", "milliwatts"),
    [
        pytest.param(ORIN_NANO, 7000, id="orin-nano"),
        pytest.param(AGX_ORIN, 8000, id="agx-orin"),
        pytest.param(AGX_ORIN_MAINLINE, 8000, id="agx-orin-mainline"),
        pytest.param(AGX_XAVIER_JETPACK_4, 7000, id="agx-xavier-jetpack-4"),
        pytest.param(AGX_XAVIER_JETPACK_5, 7000, id="agx-xavier-jetpack-5"),
        pytest.param(XAVIER_NX_JETPACK_4, 4200, id="xavier-nx-jetpack-4"),
        pytest.param(NANO_JETPACK_4, 2500, id="nano-jetpack-4"),
        pytest.param(THOR_MODULE, 13_036, id="thor-module"),
        pytest.param(THOR_KIT, 23_000, id="thor-kit"),
    ],
)
def test_the_module_s_total_is_its_input_or_the_sum_of_rails_side_by_side(lay: Any, tree: Any, milliwatts: int) -> None:
    meters = found(lay(tree))
    total = meters["jetson-module"]
    assert total.sample() == milliwatts
    assert (total.device.domain, total.device.source, total.device.unit) == ("board", "integrated", "mW")
    assert all(meter.device.domain == "part" for name, meter in meters.items() if name != "jetson-module")


def test_each_rail_says_what_it_hangs_on(lay: Any) -> None:
    within = {name: meter.device.within for name, meter in found(lay(AGX_ORIN)).items()}
    assert within == {
        "jetson-module": None,
        "jetson-vdd-gpu-soc": "jetson-module",
        "jetson-vdd-cpu-cv": "jetson-module",
        "jetson-vin-sys-5v0": "jetson-module",
        "jetson-vddq-vdd2-1v8ao": "jetson-vin-sys-5v0",
    }


def test_a_single_input_is_not_shown_twice(lay: Any) -> None:
    assert list(found(lay(ORIN_NANO))) == ["jetson-module", "jetson-vdd-cpu-gpu-cv", "jetson-vdd-soc"]


def test_the_driver_of_early_jetpack_5_is_found_too(lay: Any) -> None:
    tree = ina3221("7-0040", 5, [("VDD_IN", 5000, 1000), ("VDD_CPU_GPU_CV", 5000, 1), ("VDD_SOC", 5000, 1)], "ina3221x")
    assert found(lay(tree))["jetson-module"].sample() == 5000


def test_a_rail_of_a_carrier_is_shown_and_in_nothing(lay: Any) -> None:
    carrier = ina3221("1-0043", 6, [("CVB_ATX_12V", 12_000, 100), None, None])  # tegra234-p3701-0008.dtsi
    meters = found(lay({**AGX_ORIN, **carrier}))
    assert meters["jetson-cvb-atx-12v"].device.within is None
    assert meters["jetson-module"].sample() == 8000


def test_rails_of_no_known_board_are_not_added_up(lay: Any) -> None:
    missing = probe(lay(ina3221("1-0040", 1, [("VDD_A", 5000, 1), ("VDD_B", 5000, 1), None])))
    assert isinstance(missing, Unavailable)
    assert "VDD_A, VDD_B" in missing.reason


def test_half_a_board_is_no_board(lay: Any) -> None:
    tree = dict(AGX_XAVIER_JETPACK_5)
    del tree["bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/curr3_input"]
    assert isinstance(probe(lay(tree)), Unavailable)


def test_energy_is_integrated_and_a_rail_that_fails_makes_it_unknown(lay: Any) -> None:
    sysfs = lay(ORIN_NANO)
    meter = found(sysfs)["jetson-module"]
    assert meter.joules() == 0.0
    assert 0 < meter.joules() < 7
    (sysfs / "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr1_input").unlink()
    with pytest.raises(ReadError, match="curr1_input"):
        meter.joules()


def test_another_host_has_none(tmp_path: Path) -> None:
    missing = probe(tmp_path)
    assert isinstance(missing, Unavailable)
    assert "not a Jetson" in missing.reason


def test_drivers_hold_links_to_their_devices_as_sysfs_has_them(lay: Any) -> None:
    sysfs = lay(THOR_KIT)
    for driver, chip in (("ina3221", "2-0040"), ("ina238", "2-0044")):
        link = sysfs / "bus/i2c/drivers" / driver / chip
        device = sysfs / "devices/platform/bus@0/810c630000.i2c/i2c-2" / chip
        device.parent.mkdir(parents=True, exist_ok=True)
        link.rename(device)
        link.symlink_to(device)
    assert found(sysfs)["jetson-module"].sample() == 23_000
