"""RAPL counters, on a tree laid out as drivers/powercap/intel_rapl_common.c makes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.rapl import probe

RANGE_UJ = 262_143_328_850


def zone(sysfs: Path, name: str, label: str, energy_uj: int) -> Path:
    folder = sysfs / "class/powercap" / name
    folder.mkdir(parents=True)
    for file, content in (("name", label), ("energy_uj", energy_uj), ("max_energy_range_uj", RANGE_UJ)):
        (folder / file).write_text(f"{content}\n")
    return folder


def test_packages_are_read_and_what_lies_within_them_is_not(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 500_000)
    zone(tmp_path, "intel-rapl:1", "psys", 9_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    meters = probe(tmp_path)
    assert not isinstance(meters, Unavailable)
    assert [meter.device.name for meter in meters] == ["cpu-package-0"]
    assert meters[0].device.source == "measured"


def test_joules_count_from_zero_and_survive_wrap_around(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    meters = probe(tmp_path)
    assert not isinstance(meters, Unavailable)
    meter = meters[0]
    assert meter.joules() == 0.0
    (folder / "energy_uj").write_text("2000000\n")
    assert meter.joules() == pytest.approx(3.0)


def test_no_counter_is_said_with_the_reason(tmp_path: Path) -> None:
    found = probe(tmp_path)
    assert isinstance(found, Unavailable)
    assert "no intel-rapl zone" in found.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_counter_for_root_alone_is_said_so(tmp_path: Path) -> None:
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").chmod(0)
    found = probe(tmp_path)
    assert isinstance(found, Unavailable)
    assert "root alone" in found.reason


def test_a_counter_that_breaks_is_an_error_not_a_zero(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    meters = probe(tmp_path)
    assert not isinstance(meters, Unavailable)
    (folder / "energy_uj").unlink()
    with pytest.raises(ReadError, match="energy_uj"):
        meters[0].joules()
