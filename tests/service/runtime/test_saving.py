"""Batches wait longer only after turns that have shown, beyond their own uncertainty, that it saves energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.runtime.saving import STANDS_S, Phase, Saving
from joulebox.runtime.spending import Use
from joulebox.runtime.trial import EFFECT_S, GAIN_MIN, PAIRS, TURN_MAX_S, TURN_S

LONGER_S = 0.02
TICK_S = 0.25
TRIAL_S = 2 * PAIRS * (TURN_S + EFFECT_S + 3 * TICK_S)


class Device:
    """Settles a model's joules and items at each tick, by what a batch waits."""

    def __init__(self, joules: Callable[[float, float], float], *, rate: float = 200.0, noise: float = 0.0) -> None:
        """A device.

        Args:
            joules: of one inference, by the delay and the time.
            rate: inferences a second.
            noise: standard deviation of a tick's joules, relative.
        """
        self.saving = Saving(LONGER_S)
        self.phases: list[tuple[float, Phase]] = []
        self.waited_s = 0.0
        self.now_s = 0.0
        self.joules, self.rate, self.noise = joules, rate, noise
        self._rng = np.random.default_rng(0)
        self._use = Use()

    def runs(self, seconds: float, *, over: bool = True) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += TICK_S
            delay_s = self.saving.delay_s
            self.waited_s += TICK_S if delay_s else 0.0
            items = int(self._rng.poisson(self.rate * TICK_S))
            joules = items * self.joules(delay_s, self.now_s) * (1 + self.noise * self._rng.standard_normal())
            use = self._use
            self._use = replace(
                use,
                joules=use.joules + joules,
                items=use.items + items,
                seconds=use.seconds + TICK_S,
                settled=use.settled + 1,
            )
            if self.saving.feed(self.now_s, {"gpu": self._use}, over=over):
                self.phases.append((self.now_s, self.saving.phase))

    @property
    def path(self) -> list[Phase]:
        return [phase for _, phase in self.phases]


def test_a_delay_that_saves_is_switched_on_and_its_gain_is_known() -> None:
    device = Device(lambda delay_s, _: 2e-3 if delay_s else 3e-3, noise=0.1)
    device.runs(TRIAL_S + 5)
    assert device.path == ["trying", "on"]
    finding = device.saving.finding
    assert finding is not None
    assert finding.gain == pytest.approx(1 / 3, abs=0.02)
    assert finding.gain - finding.error < 1 / 3 < finding.gain + finding.error
    assert finding.usual_joules == pytest.approx(3e-3, rel=0.02)
    assert device.saving.delay_s == LONGER_S


@pytest.mark.parametrize(
    "joules",
    [
        pytest.param(lambda _delay_s, _now_s: 3e-3, id="constant"),
        pytest.param(lambda delay_s, _: 3.03e-3 if delay_s else 3e-3, id="costs"),
        pytest.param(lambda delay_s, _: 2.97e-3 if delay_s else 3e-3, id="saves less than it is worth"),
        pytest.param(lambda _, now_s: 3e-3 * (1 + now_s / 200), id="grows"),
        pytest.param(lambda _, now_s: 3e-3 * (2 - now_s / 200), id="falls"),
    ],
)
def test_a_delay_that_does_not_save_is_left(joules: Callable[[float, float], float]) -> None:
    device = Device(joules, noise=0.02)
    device.runs(TRIAL_S + 5)
    assert device.path == ["trying", "not_helping"]
    assert device.saving.delay_s == 0.0
    assert device.waited_s < 0.6 * TRIAL_S, "half of the trial"


def test_a_gain_within_the_noise_is_no_gain() -> None:
    """What comes and goes every 17 s hides a gain of 5 %."""
    device = Device(lambda delay_s, now_s: (0.95 if delay_s else 1.0) * (1 + 0.6 * (int(now_s / 17) % 3 - 1)))
    device.runs(TRIAL_S + 5)
    finding = device.saving.finding
    assert device.path == ["trying", "not_helping"]
    assert finding is not None
    assert GAIN_MIN < finding.gain < finding.error


def test_nothing_is_tried_while_the_budget_is_kept() -> None:
    device = Device(lambda delay_s, _: 2e-3 if delay_s else 3e-3)
    device.runs(600, over=False)
    assert device.path == []
    assert device.waited_s == 0.0


def test_what_stood_an_hour_is_tried_anew_only_if_the_budget_is_exceeded_without_it() -> None:
    device = Device(lambda delay_s, _: 2e-3 if delay_s else 3e-3, rate=100)
    device.runs(TRIAL_S + 5)
    device.runs(STANDS_S, over=False)
    device.runs(600, over=False)
    assert device.path == ["trying", "on", "off"]
    assert device.saving.finding is None
    device.runs(TRIAL_S + 5)
    assert device.path == ["trying", "on", "off", "trying", "on"]


def test_too_little_work_tells_nothing() -> None:
    device = Device(lambda delay_s, _: 2e-3 if delay_s else 3e-3, rate=0.5)
    device.runs(TURN_MAX_S + 5)
    assert device.path == ["trying", "not_helping"]
    assert device.saving.finding is None
    assert device.saving.delay_s == 0.0


def test_without_a_device_that_measures_nothing_is_tried() -> None:
    saving = Saving(LONGER_S)
    assert not saving.feed(1.0, {}, over=True)
    assert saving.phase == "off"


def test_a_slow_counter_makes_longer_turns_and_no_turn_has_an_interval_of_another() -> None:
    """A battery's tick may be 30 s; what it says at the first one of a turn is partly of the turn before."""
    saving, use, now_s, joules, items = Saving(LONGER_S), Use(), 0.0, 0.0, 0
    while saving.phase in {"off", "trying"} and now_s < 2 * PAIRS * TURN_MAX_S:
        now_s += TICK_S
        joules += 50 * (2e-3 if saving.delay_s else 3e-3)
        items += 50
        if now_s % 30 == 0:
            use = Use(joules, items, now_s, use.settled + 1)
        saving.feed(now_s, {"battery": use}, over=True)
    assert saving.phase == "on"
    assert saving.finding is not None
    assert saving.finding.usual_joules == pytest.approx(3e-3)
    assert saving.finding.longer_joules == pytest.approx(2e-3)


STEP = st.tuples(st.floats(0.1, 60.0), st.integers(0, 500), st.floats(0.0, 2.0), st.booleans())
"""Seconds, items, how much more joules an item takes than usual, whether the budget is exceeded."""


@given(
    steps=st.lists(STEP, min_size=1, max_size=40),
    repeat=st.integers(1, 20),
    usual=st.floats(0, 1),
    longer=st.floats(0, 1),
)
def test_any_course(steps: list[tuple[float, int, float, bool]], repeat: int, usual: float, longer: float) -> None:
    saving, twin, use, now_s, on_since_s = Saving(LONGER_S), Saving(LONGER_S), Use(), 0.0, 0.0
    for step_s, items, more, over in steps * repeat:
        now_s += step_s
        joules = items * more * (longer if saving.delay_s else usual)
        use = Use(use.joules + joules, use.items + items, use.seconds + step_s, use.settled + 1)
        before = saving.phase
        changed = saving.feed(now_s, {"gpu": use}, over=over)
        assert twin.feed(now_s, {"gpu": use}, over=over) is changed
        assert (twin.phase, twin.delay_s, twin.finding) == (saving.phase, saving.delay_s, saving.finding)
        assert changed is (saving.phase != before)
        assert saving.delay_s in {0.0, LONGER_S}
        assert saving.phase in {"trying", "on"} or saving.delay_s == 0.0
        if changed:
            assert (before, saving.phase) in {
                ("off", "trying"),
                ("trying", "on"),
                ("trying", "not_helping"),
                ("on", "off"),
                ("not_helping", "off"),
            }
            assert saving.phase != "trying" or over
            on_since_s = now_s
        if saving.phase == "on":
            assert saving.delay_s == LONGER_S
            assert saving.finding is not None
            assert saving.finding.gain >= GAIN_MIN
            assert saving.finding.gain > saving.finding.error
            assert now_s - on_since_s < STANDS_S
