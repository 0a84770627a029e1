"""How often a counter changes is found by watching it, within a bound."""

from __future__ import annotations

from typing import Any

import pytest

from joulebox.energy import Device, ReadError
from joulebox.energy.tick import FEWEST, measure


class Ticking:
    """A counter that changes every `tick_s`, and takes `cost_s` to read."""

    device = Device("d", "test", "measured", "")

    def __init__(self, clock: Any, tick_s: float, cost_s: float = 0.0) -> None:
        self._clock, self._tick_s, self._cost_s = clock, tick_s, cost_s
        self.reads = 0

    def sample(self) -> float:
        self.reads += 1
        self._clock.sleep(self._cost_s)
        return self._clock() // self._tick_s

    def joules(self) -> float:
        raise NotImplementedError


@pytest.mark.parametrize("tick_s", [0.001, 0.02, 0.1, 0.2])
def test_a_tick_is_found(clock: Any, tick_s: float) -> None:
    (found,) = measure([Ticking(clock, tick_s)], 1.0, clock, clock.sleep)
    assert found == pytest.approx(tick_s, rel=0.25)


def test_several_devices_are_watched_together_and_no_longer_than_the_bound(clock: Any) -> None:
    devices = [Ticking(clock, 0.001), Ticking(clock, 0.1), Ticking(clock, 10.0)]
    started_s = clock()
    fast, slow, unknown = measure(devices, 1.0, clock, clock.sleep)
    assert fast == pytest.approx(0.001, rel=0.25)
    assert slow == pytest.approx(0.1, rel=0.05)
    assert unknown is None, "it was not seen to change"
    assert clock() - started_s <= 1.01


def test_a_fast_counter_is_not_watched_longer_than_needed(clock: Any) -> None:
    started_s = clock()
    measure([Ticking(clock, 0.001)], 1.0, clock, clock.sleep)
    assert clock() - started_s < 0.1


def test_a_slow_bus_bounds_what_can_be_seen(clock: Any) -> None:
    (found,) = measure([Ticking(clock, 0.001, cost_s=0.003)], 1.0, clock, clock.sleep)
    assert found == pytest.approx(0.0032, rel=0.05)


def test_what_cannot_be_read_has_no_tick(clock: Any) -> None:
    class Broken(Ticking):
        def sample(self) -> float:
            super().sample()
            raise ReadError("gone")

    broken = Broken(clock, 0.001)
    assert measure([broken], 1.0, clock, clock.sleep) == [None]
    assert broken.reads == 1


def test_fewer_changes_than_make_a_tick_are_none(clock: Any) -> None:
    assert FEWEST == 3
    assert measure([Ticking(clock, 0.45)], 1.0, clock, clock.sleep) == [None]


def test_nothing_to_watch_takes_no_time(clock: Any) -> None:
    assert measure([], 1.0, clock, clock.sleep) == []
    assert clock() == 1000.0
