"""What `vcgencmd pmic_read_adc` prints on a Raspberry Pi 5 Model B with four busy cores, and on boards that have no such chip."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.pi import probe, run_vcgencmd, watts

RAILS = {
    "3V7_WL_SW": (0.09368929, 3.69977600),
    "3V3_SYS": (0.08783370, 3.31003300),
    "1V8_SYS": (0.18054710, 1.80512600),
    "DDR_VDD2": (0.22543980, 1.10476100),
    "DDR_VDDQ": (0.06666720, 0.60146460),
    "1V1_SYS": (0.17566740, 1.11025500),
    "0V8_SW": (0.37670900, 0.80146440),
    "VDD_CORE": (6.22421000, 0.86173300),
    "3V3_DAC": (0.00006105, 3.31318300),
    "3V3_ADC": (0.00036630, 3.30677300),
    "0V8_AON": (0.00305250, 0.80029220),
    "HDMI": (0.02417580, 5.08664000),
}
OUTPUT = "".join(
    [
        *(
            f"{rail + '_A':>13} current({number})={amperes:.8f}A\n"
            for number, (rail, (amperes, _)) in enumerate(RAILS.items())
        ),
        *(
            f"{rail + '_V':>13} volt({number + 8})={volts:.8f}V\n"
            for number, (rail, (_, volts)) in enumerate(RAILS.items())
        ),
        "     EXT5V_V volt(24)=5.09066000V\n      BATT_V volt(25)=0.00000000V\n",
    ]
)
PI_4 = 'error=1 error_msg="Command not registered"\n'


def test_power_is_the_sum_over_rails_with_current_and_voltage() -> None:
    assert watts(lambda: OUTPUT) == pytest.approx(sum(amperes * volts for amperes, volts in RAILS.values()))
    assert watts(lambda: OUTPUT) == pytest.approx(7.0, abs=0.5)


def test_the_board_is_found_and_says_that_it_is_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    meters = probe(lambda: OUTPUT)
    assert not isinstance(meters, Unavailable)
    (meter,) = meters
    assert (meter.device.domain, meter.device.source, meter.device.unit) == ("board", "integrated", "W")
    assert "without conversion losses" in meter.device.note
    monkeypatch.setattr(type(meter), "PERIOD_S", 0.01)
    monkeypatch.setattr(type(meter), "UNASKED_S", 0.1)
    assert meter.joules() == 0.0
    time.sleep(0.1)
    assert meter.joules() > 0


@pytest.mark.parametrize(
    "output", [PI_4, "", "VDD_CORE_A current(7)=1.5A\n", "VDD_CORE_A current(7)=1.5.2A\n", "\0" * 100]
)
def test_another_board_is_said_to_be_one(output: str) -> None:
    missing = probe(lambda: output)
    assert isinstance(missing, Unavailable)
    assert "a Raspberry Pi 5 is needed" in missing.reason


def test_without_the_command_it_is_no_pi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = probe()
    assert isinstance(missing, Unavailable)
    assert "vcgencmd" in missing.reason


def command(folder: Path, script: str) -> None:
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_command_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "output").write_text(OUTPUT)
    command(tmp_path, f'test "$1" = pmic_read_adc && cat {tmp_path}/output')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert run_vcgencmd() == OUTPUT


def test_a_command_that_fails_says_what_it_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command(tmp_path, "echo VCHI initialization failed >&2; exit 255")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ReadError, match="ended with 255: VCHI initialization failed"):
        run_vcgencmd()


def test_a_command_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command(tmp_path, "exec sleep 30")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("joulebox.energy.pi.TIMEOUT_S", 0.1)
    with pytest.raises(ReadError, match="timed out"):
        run_vcgencmd()
