"""Batteries, as Documentation/ABI/testing/sysfs-class-power has them; drivers/acpi/battery.c gives either energy_now and
power_now, or charge_now and current_now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.battery import probe

BAT0 = "class/power_supply/BAT0"
LAPTOP = {
    "class/power_supply/AC/type": "Mains",
    "class/power_supply/AC/online": 0,
    "class/power_supply/ucsi-source-psy-USBC000:001/type": "USB",
    f"{BAT0}/type": "Battery",
    f"{BAT0}/present": 1,
    f"{BAT0}/status": "Discharging",
    f"{BAT0}/power_now": 9_500_000,
    f"{BAT0}/energy_now": 40_000_000,
    f"{BAT0}/voltage_now": 11_800_000,
}


def meter_of(sysfs: Path) -> Any:
    meters = probe(sysfs)
    assert not isinstance(meters, Unavailable), meters
    (meter,) = meters
    return meter


def without(tree: dict[str, Any], *names: str) -> dict[str, Any]:
    return {path: content for path, content in tree.items() if Path(path).name not in names}


def test_power_is_integrated(lay: Any) -> None:
    meter = meter_of(lay(LAPTOP))
    assert meter.sample() == 9_500_000
    assert (meter.device.source, meter.device.domain, meter.device.unit) == ("integrated", "system", "uW")
    meter.joules()
    assert 0 < meter.joules() < 9.5


def test_current_and_voltage_make_power_whatever_the_sign(lay: Any) -> None:
    tree = {
        **without(LAPTOP, "power_now", "energy_now"),
        f"{BAT0}/charge_now": 3_000_000,
        f"{BAT0}/current_now": -800_000,
    }
    assert meter_of(lay(tree)).sample() == pytest.approx(9_440_000)


def test_two_packs_are_one_device_and_the_resting_one_adds_nothing(lay: Any) -> None:
    bat1 = {path.replace("BAT0", "BAT1"): content for path, content in LAPTOP.items() if "BAT0" in path}
    bat1["class/power_supply/BAT1/status"] = "Not charging"
    assert meter_of(lay({**LAPTOP, **bat1})).sample() == 9_500_000
    lay({"class/power_supply/BAT1/status": "Discharging"})
    assert meter_of(lay(LAPTOP)).sample() == 19_000_000


@pytest.mark.parametrize(
    ("names", "more", "joules"),
    [
        pytest.param(["power_now"], {"energy_now": 39_990_000}, 36.0, id="energy"),
        pytest.param(["power_now", "energy_now"], {"charge_now": 2_990_000}, 424.8, id="charge"),
    ],
)
def test_else_what_is_left_says_what_was_used(lay: Any, names: list[str], more: dict[str, int], joules: float) -> None:
    tree = {**without(LAPTOP, *names), f"{BAT0}/charge_now": 3_000_000}
    meter = meter_of(lay(tree))
    assert (meter.device.source, meter.device.kind, meter.device.unit) == ("measured", "counter", "uWh")
    assert meter.joules() == 0.0
    lay({f"{BAT0}/{name}": value for name, value in more.items()})
    assert meter.joules() == pytest.approx(joules)


def test_a_battery_that_is_plugged_in_says_nothing_of_the_host(lay: Any) -> None:
    missing = probe(lay({**LAPTOP, f"{BAT0}/status": "Charging"}))
    assert isinstance(missing, Unavailable)
    assert "BAT0 Charging" in missing.reason


def test_plugged_in_later_it_is_unknown_until_unplugged(lay: Any) -> None:
    meter = meter_of(lay(LAPTOP))
    meter.joules()
    lay({f"{BAT0}/status": "Full"})
    with pytest.raises(ReadError, match="BAT0 Full"):
        meter.joules()
    lay({f"{BAT0}/status": "Discharging"})
    assert meter.joules() == 0.0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"scope": "Device"}, id="of-a-mouse"),
        pytest.param({"present": 0}, id="empty-bay"),
        pytest.param({"type": "UPS"}, id="no-battery"),
    ],
)
def test_what_does_not_feed_the_host_is_left_out(lay: Any, change: dict[str, object]) -> None:
    missing = probe(lay({**LAPTOP, **{f"{BAT0}/{name}": value for name, value in change.items()}}))
    assert isinstance(missing, Unavailable)
    assert "no battery" in missing.reason
