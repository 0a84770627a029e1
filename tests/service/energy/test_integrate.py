"""Power samples become joules; a gap between them becomes an error."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import Device, ReadError
from joulebox.energy.integrate import GAP_S, BackgroundPowerMeter, Integral, PowerMeter

DEVICE = Device("rail", "test", "integrated", "", kind="power", unit="mW")


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 0.99 * GAP_S)), max_size=40))
def test_joules_never_fall_and_lie_under_the_highest_power(samples: list[tuple[float, float]]) -> None:
    integral, now_s, last, most = Integral(), 0.0, 0.0, 0.0
    for number, (watts, seconds) in enumerate(samples):
        now_s += seconds
        most += 500 * seconds if number else 0.0
        joules = integral.add(watts, now_s)
        assert last <= joules <= most + 1e-6
        last = joules


def test_between_two_samples_it_is_the_trapezoid() -> None:
    integral = Integral()
    assert integral.add(10.0, 5.0) == 0.0
    assert integral.add(20.0, 5.5) == pytest.approx(7.5)
    assert integral.add(20.0, 6.5) == pytest.approx(27.5)


def test_a_gap_is_unknown_and_the_next_sample_begins_anew_however_late() -> None:
    integral = Integral()
    integral.add(10.0, 0.0)
    integral.add(10.0, 1.0)
    with pytest.raises(ReadError, match="no power sample for 59"):
        integral.add(10.0, 60.0)
    assert integral.add(10.0, 120.0) == pytest.approx(10.0)
    assert integral.add(10.0, 121.0) == pytest.approx(20.0)


@pytest.mark.parametrize("watts", [math.nan, math.inf, -math.inf])
def test_what_is_no_power_is_unknown(watts: float) -> None:
    with pytest.raises(ReadError):
        Integral().add(watts, 0.0)


def test_an_offset_below_zero_takes_nothing_back() -> None:
    integral = Integral()
    integral.add(-0.4, 0.0)
    assert integral.add(-0.4, 1.0) == 0.0


def test_a_failed_sample_leaves_its_time_out(clock: Any) -> None:
    said: list[float | ReadError] = [1000.0, 1000.0, ReadError("gone"), 1000.0, 1000.0]

    def sample() -> float:
        value = said.pop(0)
        if isinstance(value, ReadError):
            raise value
        return value

    meter = PowerMeter(DEVICE, sample, 1e-3, clock)
    assert meter.joules() == 0.0
    clock.sleep(1)
    assert meter.joules() == pytest.approx(1.0)
    clock.sleep(1)
    with pytest.raises(ReadError):
        meter.joules()
    clock.sleep(1)
    assert meter.joules() == pytest.approx(1.0)
    clock.sleep(1)
    assert meter.joules() == pytest.approx(2.0)


def test_what_is_slow_to_ask_is_asked_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackgroundPowerMeter, "PERIOD_S", 0.01)
    monkeypatch.setattr(BackgroundPowerMeter, "UNASKED_S", 0.2)
    meter = BackgroundPowerMeter(DEVICE, lambda: 100.0)
    started_s = time.monotonic()
    assert meter.joules() == 0.0
    time.sleep(0.1)
    assert 0 < meter.joules() < 100 * (time.monotonic() - started_s + 0.1)
    thread = meter._thread
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive(), "nobody asked"
    before = meter.joules()
    time.sleep(0.1)
    assert 0 < meter.joules() - before < 100, "and it is taken up again, without the time between"


def test_a_failure_in_the_background_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackgroundPowerMeter, "PERIOD_S", 0.01)
    monkeypatch.setattr(BackgroundPowerMeter, "UNASKED_S", 0.1)

    def fail() -> float:
        raise ReadError("the command is gone")

    meter = BackgroundPowerMeter(DEVICE, fail)
    with pytest.raises(ReadError, match="the command is gone"):
        meter.joules()
    thread = meter._thread
    assert thread is not None
    thread.join(5)
