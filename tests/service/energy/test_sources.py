"""Measured where possible, else estimated, else none; and always said which."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from joulebox.energy import open_sources


def test_without_a_counter_the_estimate_states_its_assumption(tmp_path: Path) -> None:
    sources = open_sources({"JOULEBOX_SYSFS": str(tmp_path)})
    (meter,) = sources.meters
    assert meter.device.source == "estimated"
    assert "assumed 3 W per busy core" in meter.device.note
    assert [found.reader for found in sources.unavailable] == ["rapl"]


def test_the_estimate_is_cpu_time_at_the_configured_power(tmp_path: Path) -> None:
    (meter,) = open_sources({"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_CPU_WATTS": "10"}).meters
    before, cpu_s = meter.joules(), time.process_time()
    while time.process_time() - cpu_s < 0.02:
        pass
    assert meter.joules() - before == pytest.approx(10 * (time.process_time() - cpu_s), rel=0.2)


def test_with_the_estimate_off_there_is_none(tmp_path: Path) -> None:
    sources = open_sources({"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_CPU_WATTS": "off"})
    assert sources.meters == ()
    assert [found.reader for found in sources.unavailable] == ["rapl", "estimate"]


@pytest.mark.parametrize("setting", ["much", "-1", "0", "nan"])
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ValueError, match="JOULEBOX_CPU_WATTS"):
        open_sources({"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_CPU_WATTS": setting})
