"""`joulebox doctor` says of every energy source whether it was found, and why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from joulebox.cli.main import app

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
