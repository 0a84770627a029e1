"""What was calibrated on this host is what a ledger begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import Device, Idle, Sources
from joulebox.energy.counter import CounterMeter
from joulebox.energy.estimate import EstimateMeter, Power
from joulebox.host import Calibration, keep_calibrations, open_state
from joulebox.runtime.book import Book
from joulebox.runtime.calibrated import calibrated


def meter(name: str = "cpu-package-0", reader: str = "rapl") -> CounterMeter:
    return CounterMeter(Device(name, reader, "measured", "a test"), lambda: 0, 1e-6)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a host on which one device was calibrated."""
    environment = {"JOULEBOX_STATE": str(tmp_path)}
    kept: dict[str, Any] = {
        "source": "measured",
        "seconds": 60.0,
        "tick_seconds": None,
        "loaded": [],
        "others_busy": 0.0,
    }
    about = {"measured_at": "2026-11-22T12:00:00+00:00", "joulebox": "0.1.0"}
    calibration = Calibration(device="cpu-package-0", reader="rapl", watts=20.0, error_watts=0.2, **kept, **about)
    keep_calibrations(open_state(environment), [calibration])
    return environment


def test_a_ledger_begins_with_its_device_s_calibration(environment: dict[str, str]) -> None:
    (found,) = calibrated(Sources((meter(),), ()), environment).meters
    assert found.device.calibration == Idle(20.0, 0.6, "calibration"), "to 3 % at best"
    ledger = Book(found).ledger
    assert (ledger.idle_watts, ledger.idle_source) == (20.0, "calibration")


def test_a_card_in_the_place_of_the_calibrated_one_has_none(environment: dict[str, str]) -> None:
    card = {"device": "gpu-0", "reader": "nvml", "source": "measured", "watts": 40.0, "error_watts": 2.0}
    card |= {"seconds": 60.0, "tick_seconds": 0.1, "loaded": [], "others_busy": 0.0, "identity": "A100 GPU-1"}
    about = {"measured_at": "2026-11-22T12:00:00+00:00", "joulebox": "0.1.0"}
    keep_calibrations(open_state(environment), [Calibration.model_validate(card | about)])
    for note, expected in (("A100 GPU-1", Idle(40.0, 2.0, "calibration")), ("A100 GPU-2", None)):
        gpu = CounterMeter(Device("gpu-0", "nvml", "measured", note, domain="gpu"), lambda: 0, 1e-3)
        (found,) = calibrated(Sources((gpu,), ()), environment).meters
        assert found.device.calibration == expected


@pytest.mark.parametrize(("name", "reader"), [("cpu-package-1", "rapl"), ("cpu-package-0", "hwmon")])
def test_another_device_has_none(environment: dict[str, str], name: str, reader: str) -> None:
    (found,) = calibrated(Sources((meter(name, reader),), ()), environment).meters
    assert Book(found).ledger.idle_watts is None


def test_what_an_estimate_assumes_stays(environment: dict[str, str]) -> None:
    estimate = EstimateMeter(Power(4.0, 2.0, "a test"), 1, lambda: 0.0)
    (found,) = calibrated(Sources((estimate,), ()), environment).meters
    assert Book(found).ledger.idle_watts == 2.0


def test_a_user_without_a_home_is_served_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    sources = Sources((meter(),), ())
    assert calibrated(sources, {}) is sources


def test_a_damaged_file_does_not_keep_anybody_from_serving(environment: dict[str, str], tmp_path: Path) -> None:
    next(tmp_path.rglob("calibration.json")).write_text("{")
    (found,) = calibrated(Sources((meter(),), ()), environment).meters
    assert found.device.calibration is None
