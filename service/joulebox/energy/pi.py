"""Raspberry Pi 5 (and 500, Compute Module 5): the rails of its power management chip, through `vcgencmd pmic_read_adc`.

It prints one line a value, and names a rail's current and voltage alike (`VDD_CORE_A current(7)=6.22421000A`,
`VDD_CORE_V volt(15)=0.86173300V`), by numbers that do not match; https://www.raspberrypi.com/documentation/computers/os.html.
The sum over rails is what comes out of the chip: without its own losses and without what hangs on 5 V (USB, fan). A fit by
users puts the input at 1.1451 x the sum + 0.5879 W; it is not applied, since it is somebody else's board.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial

from joulebox.energy.integrate import BackgroundPowerMeter
from joulebox.energy.reader import Device, Probe, ReadError, Unavailable

READER = "pi"
TIMEOUT_S = 2.0
MOST_OUTPUT = 8192
_LINE = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)[AV]\s*$", re.ASCII)


def run_vcgencmd() -> str:
    """What the command prints; it asks the firmware, which takes some milliseconds.

    Raises:
        FileNotFoundError: there is no such command.
        ReadError: it failed.
    """
    command = shutil.which("vcgencmd")
    if command is None:
        raise FileNotFoundError("vcgencmd")
    try:
        done = subprocess.run(
            [command, "pmic_read_adc"], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ReadError(f"vcgencmd pmic_read_adc: {error}") from error
    output = (done.stdout or done.stderr)[:MOST_OUTPUT]
    if done.returncode != 0:
        raise ReadError(f"vcgencmd pmic_read_adc ended with {done.returncode}: {output.strip()[:200]}")
    return output


def probe(run: Callable[[], str] = run_vcgencmd) -> Probe:
    """The board, where the command knows its power management chip."""
    try:
        watts(run)
    except FileNotFoundError:
        return Unavailable(READER, "no vcgencmd on PATH: not a Raspberry Pi, or its package raspi-utils is missing")
    except ReadError as error:
        return Unavailable(READER, f"{error}: a Raspberry Pi 5 is needed, and access to /dev/vcio (group video)")
    note = "vcgencmd pmic_read_adc: volts x amperes over all rails, without conversion losses and what hangs on 5 V"
    tick_s = BackgroundPowerMeter.PERIOD_S
    device = Device("pi-board", READER, "integrated", note, kind="power", unit="W", domain="board", tick_s=tick_s)
    return [BackgroundPowerMeter(device, partial(watts, run))]


def watts(run: Callable[[], str]) -> float:
    """Power over all rails that have both a current and a voltage.

    Raises:
        FileNotFoundError: there is no such command.
        ReadError: it failed, or named no rail.
    """
    text = run()
    read: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for line in text[:MOST_OUTPUT].splitlines():
        found = _LINE.match(line)
        if found:
            rail, unit, value = found.groups()
            read[unit][rail] = _number(value)
    rails = [amperes * read["V"][rail] for rail, amperes in read["A"].items() if rail in read["V"]]
    if not rails:
        raise ReadError(f"vcgencmd pmic_read_adc named no rail: {text.strip()[:200]!r}")
    return sum(rails)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ReadError(f"vcgencmd pmic_read_adc: {text!r}, expected a number") from error
