"""`joulebox doctor` says of every energy source whether it was found, and why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from joulebox.cli.main import app
from joulebox.package import Package

READERS = {"nvml", "rapl", "jetson", "hwmon", "battery", "pi"}


def doctor(tmp_path: Path, *options: str, **more: str) -> Result:
    environment = {"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_PROCFS": str(tmp_path), "JOULEBOX_ENERGY_OFF": "nvml,pi"}
    return CliRunner().invoke(app, ["doctor", *options], env=environment | more)


def energy(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["energy"]


def test_every_source_is_listed_found_or_not_and_why(tmp_path: Path) -> None:
    listed = energy(doctor(tmp_path, "--json"))
    assert {entry["reader"] for entry in listed} == READERS | {"estimate"}
    (estimate,) = [entry for entry in listed if entry["source"] != "none"]
    assert (estimate["source"], estimate["counts"], estimate["tick_seconds"]) == ("estimated", True, None)
    assert all(entry["reason"] for entry in listed if entry["source"] == "none")


def test_what_contains_what_is_shown(tmp_path: Path) -> None:
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "psys")):
        folder = tmp_path / "class/powercap" / zone
        folder.mkdir(parents=True)
        for file, content in (("name", name), ("energy_uj", "5"), ("max_energy_range_uj", "262143328850")):
            (folder / file).write_text(content)
    found = {entry["device"]: entry for entry in energy(doctor(tmp_path, "--json")) if "device" in entry}
    assert {name: (entry["counts"], entry["within"]) for name, entry in found.items()} == {
        "cpu-package-0": (True, "psys"),
        "cpu-core-0": (False, "cpu-package-0"),
        "psys": (False, None),
    }
    assert found["cpu-package-0"]["unit"] == "uJ"
    table = doctor(tmp_path, COLUMNS="300").stdout
    assert "within cpu-package-0; not counted" in table
    assert "not needed: rapl measures" in table


@pytest.mark.parametrize("setting", ["JOULEBOX_CPU_WATTS", "JOULEBOX_ENERGY_OFF"])
def test_a_wrong_setting_is_the_user_s_fault(tmp_path: Path, setting: str) -> None:
    result = doctor(tmp_path, **{setting: "much"})
    assert result.exit_code != 0


def test_every_engine_is_tried(tmp_path: Path) -> None:
    engines = json.loads(doctor(tmp_path, "--json").stdout)["engines"]
    assert [engine["engine"] for engine in engines] == ["onnxruntime", "openvino"]
    for engine in engines:
        assert engine["version"][0].isdigit()
        assert all(each["works"] is (each["reason"] is None) for each in engine["providers"])
        assert engine["providers"][-1]["works"]


def test_the_host_is_described(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: Laid CPU\nflags\t\t: avx2 avx_vnni\n")
    (tmp_path / "firmware/devicetree/base").mkdir(parents=True)
    (tmp_path / "firmware/devicetree/base/model").write_text("NVIDIA Jetson AGX Orin\0")
    found = json.loads(doctor(tmp_path, "--json").stdout)
    assert (found["host"]["cpu"], found["instructions"]["int8"]) == ("Laid CPU", ["avx_vnni"])
    assert found["jetson"]["model"] == "NVIDIA Jetson AGX Orin"
    assert found["gpus"]["gpus"] or found["gpus"]["why"]
    table = doctor(tmp_path, COLUMNS="200").stdout
    assert "avx_vnni" in table
    assert "NVIDIA Jetson AGX Orin, L4T unknown" in table


def test_what_of_a_package_would_be_served_and_what_would_not(tmp_path: Path, twofold: Package) -> None:
    (served,) = json.loads(doctor(tmp_path, str(twofold.folder), "--json").stdout)["packages"]
    assert (served["variant"], served["engine"], served["tuned"]) == ("cpu-fp32", "onnxruntime", False)
    (passed,) = served["passed_over"]
    assert passed["variant"] == "cpu-int8"
    assert "golden sample 0" in passed["reason"]
    table = doctor(tmp_path, str(twofold.folder), COLUMNS="200").stdout
    assert "would be served (not tuned)" in table
    assert "passed over: cpu-int8: golden sample 0" in table


def test_what_is_no_package_is_the_user_s_fault(tmp_path: Path) -> None:
    result = doctor(tmp_path, str(tmp_path / "nothing"))
    assert result.exit_code != 0
    assert "is no model package" in str(result.exception)
