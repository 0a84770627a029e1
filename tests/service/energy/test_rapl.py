"""RAPL counters, on trees laid out as drivers/powercap/intel_rapl_common.c makes them: zones at the top are named `package-N`,
`package-N-die-M` or `psys`, those below `core`, `uncore` and `dram`; intel_rapl_msr.c and intel_rapl_tpmi.c both make
`intel-rapl`, and the thermal driver's processor_thermal_rapl.c makes `intel-rapl-mmio`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.rapl import probe

RANGE_UJ = 262_143_328_850  # 2^32 x 61 uJ, Intel
AMD_RANGE_UJ = 65_532_610_987  # 2^32 x 15.26 uJ
DRAM_RANGE_UJ = 65_712_999_613  # 2^32 x 15.3 uJ: servers' DRAM has a unit of its own


def tree(zones: Mapping[str, tuple[str, int]], range_uj: int = RANGE_UJ) -> dict[str, object]:
    """By zone, what it is named and its counter."""
    files: dict[str, object] = {"class/powercap/intel-rapl/enabled": 1}
    for zone, (name, energy_uj) in zones.items():
        path = f"class/powercap/{zone}"
        files |= {
            f"{path}/name": name,
            f"{path}/energy_uj": energy_uj,
            f"{path}/max_energy_range_uj": DRAM_RANGE_UJ if name == "dram" else range_uj,
            f"{path}/enabled": 1,
            f"{path}/uevent": "",
        }
    return files


CLIENT = tree(
    {
        "intel-rapl:0": ("package-0", 1_000_000),
        "intel-rapl:0:0": ("core", 500_000),
        "intel-rapl:0:1": ("uncore", 100_000),
        "intel-rapl:1": ("psys", 9_000_000),
        "intel-rapl-mmio:0": ("package-0", 1_000_000),
    }
)
SERVER = tree(
    {
        "intel-rapl:0": ("package-0", 1),
        "intel-rapl:0:0": ("dram", 2),
        "intel-rapl:1": ("package-1", 3),
        "intel-rapl:1:0": ("dram", 4),
    }
)
AMD = tree({"intel-rapl:0": ("package-0", 1), "intel-rapl:0:0": ("core", 2)}, AMD_RANGE_UJ)


def found(sysfs: Path) -> dict[str, Any]:
    meters = probe(sysfs)
    assert not isinstance(meters, Unavailable), meters
    return {meter.device.name: meter for meter in meters}


def test_an_intel_client_has_a_package_what_lies_within_it_and_what_contains_it(lay: Any) -> None:
    devices = {name: meter.device for name, meter in found(lay(CLIENT)).items()}
    assert list(devices) == ["cpu-package-0", "cpu-core-0", "cpu-uncore-0", "psys"]
    assert [device.domain for device in devices.values()] == ["cpu", "part", "part", "system"]
    assert devices["cpu-core-0"].within == devices["cpu-uncore-0"].within == "cpu-package-0"
    assert {device.source for device in devices.values()} == {"measured"}
    assert {device.unit for device in devices.values()} == {"uJ"}


def test_an_intel_server_has_memory_beside_each_package(lay: Any) -> None:
    devices = [meter.device for meter in found(lay(SERVER)).values()]
    assert [(device.name, device.domain, device.within) for device in devices] == [
        ("cpu-package-0", "cpu", None),
        ("dram-0", "memory", None),
        ("cpu-package-1", "cpu", None),
        ("dram-1", "memory", None),
    ]


def test_an_amd_host_has_the_same_files(lay: Any) -> None:
    sysfs = lay(AMD)
    meter = found(sysfs)["cpu-package-0"]
    lay({"class/powercap/intel-rapl:0/energy_uj": 2_000_001})
    assert meter.joules() == pytest.approx(2.0)
    assert meter.sample() == 2_000_001


def test_ten_packages_come_in_order_and_a_second_way_to_one_is_dropped(lay: Any) -> None:
    zones = {f"intel-rapl:{number}": (f"package-{number // 2}-die-{number % 2}", number) for number in range(12)}
    zones["intel-rapl:12"] = ("package-0-die-0", 0)  # TPMI beside MSR
    meters = found(lay(tree(zones)))
    assert [meter.sample() for meter in meters.values()] == list(range(12))
    assert list(meters)[-1] == "cpu-package-11"


def test_joules_count_from_zero_and_survive_wrap_around(lay: Any) -> None:
    meter = found(lay(tree({"intel-rapl:0": ("package-0", RANGE_UJ - 1_000_000)})))["cpu-package-0"]
    assert meter.joules() == 0.0
    lay({"class/powercap/intel-rapl:0/energy_uj": 2_000_000})
    assert meter.joules() == pytest.approx(3.0)


def test_a_reset_is_unknown_and_counting_goes_on_after_it(lay: Any) -> None:
    meter = found(lay(tree({"intel-rapl:0": ("package-0", 5_000_000_000)})))["cpu-package-0"]
    lay({"class/powercap/intel-rapl:0/energy_uj": 1_000_000})
    with pytest.raises(ReadError, match="reset"):
        meter.joules()
    assert meter.joules() == 0.0
    lay({"class/powercap/intel-rapl:0/energy_uj": 3_500_000})
    assert meter.joules() == pytest.approx(2.5)


def test_no_counter_is_said_with_the_reason(tmp_path: Path) -> None:
    missing = probe(tmp_path)
    assert isinstance(missing, Unavailable)
    assert "no intel-rapl zone" in missing.reason


def test_a_zone_masked_in_a_container_is_said_with_what_to_do(tmp_path: Path) -> None:
    """Docker and podman lay an empty folder over /sys/devices/virtual/powercap, where the class's links lead."""
    (tmp_path / "class/powercap").mkdir(parents=True)
    (tmp_path / "class/powercap/intel-rapl:0").symlink_to("../../devices/virtual/powercap/intel-rapl/intel-rapl:0")
    missing = probe(tmp_path)
    assert isinstance(missing, Unavailable)
    assert "masked in this container" in missing.reason
    assert "JOULEBOX_SYSFS" in missing.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_counter_for_root_alone_is_said_so(lay: Any) -> None:
    sysfs = lay(AMD)
    (sysfs / "class/powercap/intel-rapl:0/energy_uj").chmod(0)
    missing = probe(sysfs)
    assert isinstance(missing, Unavailable)
    assert "root alone" in missing.reason


def test_denial_is_told_apart_from_other_failures(lay: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the test above, for where tests run as root."""
    sysfs = lay(AMD)
    opened = Path.open

    def refuse(path: Path, *args: Any, **named: Any) -> Any:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **named)

    monkeypatch.setattr(Path, "open", refuse)
    missing = probe(sysfs)
    assert isinstance(missing, Unavailable)
    assert "readable by root alone" in missing.reason


@pytest.mark.parametrize("content", ["", "many", "-"])
def test_a_counter_that_is_no_number_is_said(lay: Any, content: str) -> None:
    missing = probe(lay({**AMD, "class/powercap/intel-rapl:0/energy_uj": content}))
    assert isinstance(missing, Unavailable)
    assert "expected a whole number" in missing.reason


def test_a_counter_that_breaks_is_an_error_not_a_zero(lay: Any) -> None:
    sysfs = lay(AMD)
    meter = found(sysfs)["cpu-package-0"]
    (sysfs / "class/powercap/intel-rapl:0/energy_uj").unlink()
    with pytest.raises(ReadError, match="energy_uj"):
        meter.joules()
