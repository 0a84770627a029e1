"""A counter is asked when its next update is due, and its time is known to a fraction of a tick."""

from __future__ import annotations

import random

import pytest

from joulebox.runtime.pace import INTERVAL_S, Pace


@pytest.mark.parametrize("tick_s", [None, 0.0, 0.001])
def test_a_fast_counter_is_asked_at_leisure(tick_s: float | None) -> None:
    pace = Pace(tick_s)
    pace.asked(10.0, changed=True)
    assert pace.next_s == 10.0 + INTERVAL_S
    assert not pace.waits(10.1)


@pytest.mark.parametrize("tick_s", [0.02, 0.1, 0.3, 1.0])
def test_a_slow_counter_is_asked_finely_when_it_is_due(tick_s: float) -> None:
    pace, at_s, asked, seen, last = Pace(tick_s), 0.001, 0, [], 0
    while at_s < 60:
        tick = int(at_s / tick_s)
        changed = tick != last and not pace.holds
        if changed:
            seen.append(at_s - tick * tick_s)
        pace.asked(at_s, changed=changed)
        asked, last, at_s = asked + 1, tick, pace.next_s
    assert max(seen[2:]) <= max(0.002, tick_s / 20) * 1.01
    assert len(seen) > 0.9 * 60 / max(0.1, tick_s)
    assert asked < 4 * len(seen) + 40


def test_on_a_busy_host_where_each_question_comes_late_few_updates_are_missed() -> None:
    pace, at_s, unchanged_s, late = Pace(0.1), 0.001, 0.0, random.Random(0)
    tick, doubts = 0, []
    while at_s < 120:
        changed = int(at_s / 0.1) != tick
        if changed:
            tick = int(at_s / 0.1)
            doubts.append(at_s - unchanged_s)
        else:
            unchanged_s = at_s
        pace.asked(at_s, changed=changed)
        at_s = pace.next_s + late.expovariate(1 / 0.004)
    assert sum(doubt > 0.03 for doubt in doubts) < 0.04 * len(doubts)


def test_a_counter_that_stands_still_is_not_asked_for_ever() -> None:
    pace = Pace(0.1)
    pace.asked(0.0, changed=True)
    asked, at_s = 0, pace.next_s
    while at_s < 100:
        pace.asked(at_s, changed=False)
        asked, at_s = asked + 1, pace.next_s
    assert asked < 500
