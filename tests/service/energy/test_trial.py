"""A trial on devices whose truth is known, in simulated time: ticks, noise, drift, failures and suspensions included."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import Device, ReadError
from joulebox.energy.phase import Progress, Timing, Used, observe
from joulebox.energy.rest import Rested, watch_rest
from joulebox.energy.trial import plan_trial, run_trial

READ_S = 20e-6


class World:
    """Time that passes when somebody sleeps or asks, and a device that uses power meanwhile."""

    def __init__(self, tick_s: float, idle: float = 20.0, drift_per_s: float = 0.0, quantum: float = 1e-6) -> None:
        self.now_s, self.slept_s = 1000.0, 0.0
        self.power: Callable[[], float] = lambda: 0.0
        self.device = Device("cpu-package-0", "rapl", "measured", "a test", tick_s=tick_s)
        self.fails: Callable[[], bool] = lambda: False
        self.reads = 0
        self._idle, self._drift_per_s, self._quantum, self._tick_s = idle, drift_per_s, quantum, tick_s
        self._joules = self._shown = 0.0

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now_s, self.passes, lambda: self.now_s + self.slept_s)

    def passes(self, seconds: float) -> None:
        watts = self._idle + self._drift_per_s * (self.now_s + seconds / 2 - 1000.0) + self.power()
        self.now_s += seconds
        self._joules += watts * seconds
        since_tick_s = self.now_s % self._tick_s
        if since_tick_s <= seconds:
            self._shown = self._joules - watts * since_tick_s

    def joules(self) -> float:
        self.reads += 1
        self.passes(READ_S)
        if self.fails():
            raise ReadError("gone")
        return self._shown // self._quantum * self._quantum

    def mark(self) -> Any:
        return ()

    def resume(self, mark: Any) -> None:
        raise NotImplementedError


class Wandering(World):
    """Its idle power is another one every third of a second."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(0.001)
        self._watts = [chance.gauss(20, 0.3) for _ in range(1000)]

    def passes(self, seconds: float) -> None:
        self._idle = self._watts[int((self.now_s - 1000) * 3) % 1000]
        super().passes(seconds)


class Load:
    """Runs of a model whose power and time are known."""

    def __init__(self, world: World, watts: Callable[[], float], run_s: float, items: int = 1) -> None:
        self.items, self.run_s = items, run_s
        self._world, self._watts = world, watts

    @contextmanager
    def working(self) -> Generator[Progress]:
        begun_s, watts = self._world.now_s, self._watts()
        self._world.power = lambda: watts
        yield lambda at_s: (at_s - begun_s) / self.run_s
        self._world.power = lambda: 0.0


def whole(outcomes: list[Used | str]) -> Used:
    (outcome,) = outcomes
    assert isinstance(outcome, Used), outcome
    return outcome


@given(st.floats(1e-3, 0.6), st.floats(0.1, 500), st.floats(0.3, 3.0))
def test_power_is_known_to_two_steps_of_asking_and_a_quantum(tick_s: float, idle: float, seconds: float) -> None:
    world = World(tick_s, idle)
    found = whole(observe([world], seconds, 0.1, world.timing))
    assert found.seconds >= seconds
    step_s = max(0.0005, tick_s / 20) + 2 * READ_S
    assert found.watts == pytest.approx(idle, rel=2 * step_s / seconds, abs=2e-6 / seconds)


def test_a_counter_is_hardly_asked_in_between() -> None:
    world = World(0.1)
    observe([world], 3.0, 0.1, world.timing)
    assert world.reads < 70  # three ticks or so, in twentieths


def test_a_counter_that_stands_still_is_unknown() -> None:
    world = World(1e9)
    world.device = Device("cpu-package-0", "rapl", "measured", "a test", tick_s=0.1)
    (found,) = observe([world], 1.0, 0.1, world.timing)
    assert isinstance(found, str)
    assert "stood still" in found


def test_a_device_that_says_0_watts_used_nothing() -> None:
    world = World(0.1, idle=0.0)
    world.device = Device("gpu", "hwmon", "integrated", "a test", kind="power", tick_s=0.1)
    assert whole(observe([world], 1.0, 0.1, world.timing)).joules == 0.0


def test_a_device_that_fails_says_why() -> None:
    world = World(0.01)
    world.fails = lambda: world.now_s > 1000.5
    assert observe([world], 1.0, 0.1, world.timing) == ["gone"]


def test_that_nobody_asked_between_two_phases_does_not_matter() -> None:
    """As of a sum of power samples, which are too far apart then."""
    world = World(0.01)
    fails = iter([True])
    world.fails = lambda: next(fails, False)
    assert whole(observe([world], 1.0, 0.1, world.timing)).watts == pytest.approx(20.0, rel=0.01)


def test_a_suspended_host_leaves_nothing_that_is_known() -> None:
    world = World(0.01)

    def sleep(seconds: float) -> None:
        world.passes(seconds)
        if world.now_s > 1000.5:
            world.slept_s = 60.0

    (found,) = observe([world], 1.0, 0.1, Timing(lambda: world.now_s, sleep, lambda: world.now_s + world.slept_s))
    assert found == "the host was suspended for 60.0 s"


def test_a_phase_has_its_length_where_nothing_is_measured() -> None:
    world = World(0.1)
    assert observe([], 1.0, 0.1, world.timing) == []
    assert world.now_s == pytest.approx(1001.1)


@given(
    st.floats(1e-3, 0.2),
    st.lists(st.tuples(st.floats(1, 200), st.floats(1e-5, 0.5), st.integers(1, 64)), min_size=1, max_size=4),
    st.floats(-0.02, 0.02),
    st.integers(0, 99),
)
def test_each_model_gets_its_joules_whatever_the_tick_the_drift_and_the_order(
    tick_s: float, models: list[tuple[float, float, int]], drift_per_s: float, seed: int
) -> None:
    world = World(tick_s, 20.0, drift_per_s)
    loads = [Load(world, lambda watts=watts: watts, run_s, items) for watts, run_s, items in models]
    plan = plan_trial([world], 3)
    found = run_trial([world], loads, plan, seed=seed, timing=world.timing)
    step_s = max(0.0005, tick_s / 20) + 2 * READ_S
    for energy, (watts, run_s, items) in zip(found, models, strict=True):
        off_watts = 2 * step_s * ((20 + watts) / plan.work_s + 22 / plan.rest_s)
        assert energy.joules_per_item == pytest.approx(watts * run_s / items, abs=off_watts * run_s / items)
        assert (energy.turns, energy.left_out) == (3, 0)
        assert energy.dynamic_watts == pytest.approx(watts, abs=off_watts)


@pytest.mark.parametrize("subjects", [1, 3])
def test_stated_intervals_hold_the_truth(subjects: int) -> None:
    """Where power differs from turn to turn, and idle power wanders: in 95 of 100, but for chance."""
    chance, held, runs = random.Random(subjects), 0, 360 // subjects
    for seed in range(runs):
        world = Wandering(chance)
        loads = [Load(world, lambda: chance.gauss(15, 0.5), 0.01) for _ in range(subjects)]
        for energy in run_trial([world], loads, plan_trial([world], 5), seed=seed, timing=world.timing):
            low, high = energy.ci95 or (0.0, 0.0)
            held += low <= 0.15 <= high
    assert held >= 0.92 * runs * subjects


def test_a_turn_in_which_the_counter_failed_is_left_out_and_counted() -> None:
    world = World(0.01)
    world.fails = lambda: 1003.0 < world.now_s < 1003.5
    (found,) = run_trial([world], [Load(world, lambda: 10.0, 0.01)], plan_trial([world], 4), timing=world.timing)
    assert (found.turns, found.left_out) == (3, 1)
    assert found.joules_per_item == pytest.approx(0.1, rel=0.01)
    assert found.why is not None
    assert "gone (1 ×)" in found.why


def test_a_counter_that_is_gone_leaves_joules_unknown() -> None:
    world = World(0.01)
    world.fails = lambda: True
    (found,) = run_trial([world], [Load(world, lambda: 10.0, 0.01)], plan_trial([world], 3), timing=world.timing)
    assert found.joules_per_item is None
    assert found.why == "cpu-package-0, at rest: gone (3 ×)"


def test_an_estimate_needs_no_rest() -> None:
    world = World(1e-4, idle=0.0)
    world.device = Device("cpu", "estimate", "estimated", "a test", kind="model", idle_watts=None)
    plan = plan_trial([world], 5)
    assert (plan.rest_s, plan.settle_s, plan.turns) == (0.0, 0.0, 5)
    (found,) = run_trial([world], [Load(world, lambda: 3.0, 0.01)], plan, timing=world.timing)
    assert found.joules_per_item == pytest.approx(0.03, rel=1e-3)
    assert found.total_joules_per_item is None
    assert world.now_s == pytest.approx(1005, abs=0.1)


def test_where_nothing_measures_all_is_unknown_and_nothing_is_zero() -> None:
    world = World(0.01)
    (found,) = run_trial([], [Load(world, lambda: 3.0, 0.01)], plan_trial([], 3), timing=world.timing)
    figures = found.joules_per_item, found.ci95, found.total_joules_per_item, found.dynamic_watts, found.idle_watts
    assert figures == (None,) * 5
    assert (found.turns, found.left_out, found.why) == (0, 0, "nothing was measured")


def test_phases_are_as_long_as_the_slowest_tick_needs_and_as_a_run_needs() -> None:
    slow, fast = World(0.5), World(0.001)
    plan = plan_trial([slow, fast], 10)
    assert (plan.work_s, plan.rest_s, plan.settle_s, plan.turns) == (5.0, 5.0, 1.0, 3)
    assert plan.working_s(Load(slow, lambda: 1.0, 4.0)) == 12.0


def test_what_may_average_its_power_has_a_second_to_follow() -> None:
    world = World(0.01)
    world.device = Device("gpu-0", "nvml", "integrated", "a test", kind="power", tick_s=0.01)
    assert plan_trial([world], 3).settle_s == 1.0


@pytest.mark.parametrize(("reader", "work_s"), [("rapl", 10.0), ("battery", 300.0)])
def test_where_the_tick_is_not_known_phases_are_long_enough(reader: str, work_s: float) -> None:
    world = World(0.01)
    world.device = Device("d", reader, "measured", "a test")
    assert plan_trial([world], 3).work_s == work_s


def test_a_counter_that_stood_still_at_rest_is_not_waited_for_at_work() -> None:
    world = World(1e9)
    world.device = Device("cpu-package-0", "rapl", "measured", "a test", tick_s=0.1)
    begun_s = world.now_s
    (found,) = run_trial([world], [Load(world, lambda: 10.0, 0.01)], plan_trial([world], 3), timing=world.timing)
    assert found.joules_per_item is None
    assert "cpu-package-0, at rest: the counter stood still" in (found.why or "")
    assert world.now_s - begun_s < 3 * (1.2 + 0.2 + 4)


def test_several_devices_are_summed() -> None:
    cpu, gpu = World(0.001, 20.0), World(0.1, 40.0)
    gpu.device = Device("gpu-0", "nvml", "measured", "a test", tick_s=0.1)

    def passes(seconds: float) -> None:
        World.passes(cpu, seconds)
        gpu.power = lambda: 2 * cpu.power()
        World.passes(gpu, cpu.now_s - gpu.now_s)

    cpu.passes = passes  # one clock for both
    gpu_reads = gpu._quantum
    gpu.joules = lambda: gpu._shown // gpu_reads * gpu_reads
    (found,) = run_trial([cpu, gpu], [Load(cpu, lambda: 10.0, 0.01)], plan_trial([cpu, gpu], 3), timing=cpu.timing)
    assert found.joules_per_item == pytest.approx(0.3, rel=0.02)
    assert found.idle_watts == pytest.approx(60.0, rel=0.02)
    assert found.total_joules_per_item == pytest.approx(0.9, rel=0.02)


def test_rest_is_watched_in_parts_whose_spread_is_its_error() -> None:
    world = Wandering(random.Random(0))
    spent: list[float] = []
    (found,) = watch_rest([world], 30.0, timing=world.timing, say=spent.append)
    assert isinstance(found, Rested)
    assert abs(found.watts - 20) < 4 * found.error_watts
    assert 0 < found.error_watts < 0.3
    assert found.seconds == pytest.approx(30, abs=0.1)
    assert sum(spent) == pytest.approx(30)


def test_rest_that_could_not_be_watched_says_why() -> None:
    world = World(0.01)
    world.fails = lambda: world.now_s > 1003.0
    assert watch_rest([world], 10.0, timing=world.timing) == ["gone"]


def test_rest_lasts_as_long_as_a_slow_tick_needs() -> None:
    world = World(2.0)
    (found,) = watch_rest([world], 10.0, timing=world.timing)
    assert isinstance(found, Rested)
    assert found.seconds >= 80
