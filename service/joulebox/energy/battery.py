"""A battery while it discharges: all that the host draws, screen and radios included.

`/sys/class/power_supply/*/`, in uW, uA, uV, uWh and uAh, as
https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-class-power defines them; a current may be negative while
discharging, and drivers differ, so that the status alone says the direction. Supplies of the USB type-C controller
(`ucsi-*`) are what was negotiated, not measured; those with scope `Device` belong to a mouse or a keyboard.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from joulebox.energy.integrate import PowerMeter
from joulebox.energy.reader import Device, Mark, Probe, ReadError, Unavailable
from joulebox.energy.sysfs import int_of, listing, read_int, read_text, text_of

READER = "battery"
MOST_PACKS = 8
JOULES_PER_UWH = 3600e-6


class GaugeMeter:
    """A battery that says what is left in it: what was used is what that fell by."""

    def __init__(self, device: Device, packs: list[Path]) -> None:
        self.device = device
        self._packs = packs
        self._left: float | None = _left_uwh(packs)
        self._used_uwh = 0.0

    def joules(self) -> float:
        last, self._left = self._left, None  # after a failure it begins anew
        left = _left_uwh(self._packs)
        if last is not None and left < last:
            self._used_uwh += last - left
        self._left = left
        return self._used_uwh * JOULES_PER_UWH

    def sample(self) -> float:
        return _left_uwh(self._packs)

    def mark(self) -> Mark:
        return () if self._left is None else (self._left, self._used_uwh)

    def resume(self, mark: Mark) -> None:
        self._left, self._used_uwh = mark


def probe(sysfs: Path) -> Probe:
    """The host's batteries as one device, under `sysfs` (normally `/sys`)."""
    root = sysfs / "class/power_supply"
    packs = [pack for pack in listing(root, "*") if _is_pack(pack)][:MOST_PACKS]
    if not packs:
        return Unavailable(READER, f"{root} has no battery")
    names = ", ".join(pack.name for pack in packs)
    try:
        _discharging(packs)
        return [_open(root, packs, names)]
    except ReadError as error:
        return Unavailable(READER, str(error))


def _open(root: Path, packs: list[Path], names: str) -> PowerMeter | GaugeMeter:
    try:
        _microwatts(packs)
    except ReadError:
        note = f"what is left in {names} ({root}), while discharging"
        return GaugeMeter(Device(READER, READER, "measured", note, unit="uWh", domain="system"), packs)
    note = f"power drawn from {names} ({root}), while discharging"
    device = Device(READER, READER, "integrated", note, kind="power", unit="uW", domain="system")
    return PowerMeter(device, partial(_microwatts, packs), 1e-6)


def _is_pack(supply: Path) -> bool:
    return (
        not supply.name.startswith("ucsi-")
        and text_of(supply / "type") == "Battery"
        and text_of(supply / "scope") != "Device"
        and int_of(supply / "present") != 0
    )


def _discharging(packs: list[Path]) -> list[Path]:
    """The packs in use.

    Raises:
        ReadError: none is, or one is being charged: what flows then is not what the host uses.
    """
    states = {pack: read_text(pack / "status") for pack in packs}
    used = [pack for pack, state in states.items() if state == "Discharging"]
    if not used or "Charging" in states.values():
        said = ", ".join(f"{pack.name} {state}" for pack, state in states.items())
        raise ReadError(f"a battery says what the host uses only while it discharges ({said})")
    return used


def _microwatts(packs: list[Path]) -> float:
    """Power drawn from all packs in use."""
    return sum(_pack_microwatts(pack) for pack in _discharging(packs))


def _pack_microwatts(pack: Path) -> float:
    power_uw = int_of(pack / "power_now")
    if power_uw is not None:
        return abs(power_uw)
    return abs(read_int(pack / "current_now")) * read_int(pack / "voltage_now") / 1e6


def _left_uwh(packs: list[Path]) -> float:
    """What is left in all packs, while one is in use."""
    _discharging(packs)
    return sum(_pack_uwh(pack) for pack in packs)


def _pack_uwh(pack: Path) -> float:
    energy_uwh = int_of(pack / "energy_now")
    if energy_uwh is not None:
        return energy_uwh
    return read_int(pack / "charge_now") * read_int(pack / "voltage_now") / 1e6
