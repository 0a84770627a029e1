"""The ledger gives every joule to somebody, once; what it does not know is unknown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.energy import Idle, Ledger, Work

A, B = ("a", "1"), ("b", "1")


def close(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)


def booked(ledger: Ledger) -> float:
    return ledger.dynamic_joules + ledger.idle_joules + ledger.unattributed_joules


class Feeder:
    """Feeds a ledger with steps of a device and its models."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.at_s = self.joules = 0.0
        self.work = {A: Work(0.0, 0), B: Work(0.0, 0)}
        ledger.feed(0.0, 0.0, self.work)

    def step(self, joules: float, seconds: float = 1.0, a: float = 0.0, b: float = 0.0, items: int = 1):
        """Of joules and seconds, and busy seconds of each model, which finishes so many items if it ran."""
        self.at_s += seconds
        self.joules += joules
        for key, busy_s in ((A, a), (B, b)):
            done = self.work[key]
            self.work[key] = Work(done.busy_s + busy_s, done.items + (items if busy_s else 0))
        return self.ledger.feed(self.at_s, self.joules, self.work)

    def idle(self, seconds: int = 12, watts: float = 20.0) -> None:
        for _ in range(seconds):
            self.step(watts)


def learnt(watts: float = 20.0) -> Feeder:
    feeder = Feeder(Ledger(tick_s=0.0))
    feeder.idle(watts=watts)
    return feeder


BUSY_S = st.integers(0, 10**10).map(lambda nanoseconds: nanoseconds / 1e9)  # as the workers' records have it


def test_what_an_estimate_assumes_at_rest_is_idle_and_the_rest_is_the_models() -> None:
    feeder = Feeder(Ledger(busy_watts=4.0, tick_s=0.0, calibration=Idle(2.0, 0.1, "calibration")))
    feeder.step(2.0)
    assert feeder.ledger.idle_joules == 2.0
    booking = feeder.step(2.0 + 4.0 * 0.5, a=0.5)
    assert booking.models[A].joules == 2.0
    assert feeder.ledger.idle_joules == 4.0
    assert feeder.ledger.unattributed_joules == 0.0
    assert feeder.ledger.idle_source == "calibration"
    booking = feeder.step(2.0 + 4.0 * 0.8, a=0.5)
    assert booking.models[A].joules == 2.0, "no more than it can have used"
    assert booking.reason == "beyond_estimate"


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("step"),
            st.integers(0, 10**7).map(lambda millijoules: millijoules / 1000),
            st.floats(1e-3, 10),
            BUSY_S,
            BUSY_S,
            st.integers(0, 9),
        ),
        st.tuples(st.sampled_from(["gap", "reset", "back", "sleep", "unload", "wait", "wrap"])),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    STEPS,
    st.sampled_from([None, 3.0]),
    st.sampled_from([None, 0.0, 1.0]),
    st.sampled_from([None, Idle(20.0, 1.0, "calibration")]),
)
def test_every_joule_is_booked_once_whatever_happens(
    steps, busy_watts: float | None, tick_s: float | None, calibration: Idle | None
) -> None:
    ledger = Ledger(busy_watts=busy_watts, tick_s=tick_s, calibration=calibration)
    feeder = Feeder(ledger)
    used = 0.0
    for kind, *step in steps:
        total = ledger.total_joules
        if kind == "step":
            joules, seconds, a, b, items = step
            booking = feeder.step(joules, seconds, a, b, items)
        elif kind == "sleep":
            booking = feeder.step(5.0, 1000.0, 500.0)
        elif kind == "wrap":
            booking = feeder.step(262_143.0)  # a reset that a meter took for a wrap
        elif kind == "wait":
            feeder.at_s += 0.1
            booking = ledger.feed(feeder.at_s, feeder.joules, feeder.work)
        else:
            feeder.at_s -= 50.0 if kind == "back" else -0.1
            feeder.joules = 0.0 if kind == "reset" else feeder.joules
            work = {} if kind == "unload" else feeder.work
            booking = ledger.feed(feeder.at_s, None if kind == "gap" else feeder.joules, work)
        grown = ledger.total_joules - total
        assert (booking is not None) == (grown > 0)
        if booking is not None:
            assert kind not in {"gap", "reset", "back", "sleep"}
            shares = [part.joules for part in booking.models.values()]
            assert min([*shares, booking.idle_joules, booking.unattributed_joules]) >= 0
            assert close(sum(shares) + booking.idle_joules + booking.unattributed_joules, booking.joules)
            used += booking.joules
    assert close(ledger.total_joules, used)
    assert close(booked(ledger), used)
    accounts = ledger.accounts.values()
    assert all(account.joules >= 0 and account.items >= 0 and account.busy_s >= 0 for account in accounts)


def test_idle_power_is_learnt_while_nothing_runs_and_taken_off() -> None:
    feeder = learnt()
    assert feeder.ledger.idle_watts == pytest.approx(20)
    assert feeder.ledger.idle_source == "learnt"
    booking = feeder.step(45.0, a=0.5)
    assert booking is not None
    assert booking.idle_joules == pytest.approx(20)
    assert booking.models[A].joules == pytest.approx(25)
    assert booking.models[A].idle_joules == booking.models[B].idle_joules == pytest.approx(10), "a view, by time loaded"


def test_without_idle_power_nothing_is_split() -> None:
    feeder = Feeder(Ledger(tick_s=0.0))
    for _ in range(50):
        feeder.step(100.0, a=1.0)
    ledger = feeder.ledger
    assert ledger.idle_watts is None
    assert ledger.idle_source is None
    assert ledger.unattributed == {"idle_unknown": pytest.approx(5000)}
    assert ledger.accounts[A].joules_per_item is None, "unknown, not 0"
    assert ledger.ci95(A) is None
    assert ledger.busy_watts_of(A) is None


def test_a_calibration_serves_until_more_is_known() -> None:
    feeder = Feeder(Ledger(tick_s=0.0, calibration=Idle(18.0, 0.9, "calibration")))
    booking = feeder.step(48.0, a=1.0)
    assert feeder.ledger.idle_source == "calibration"
    assert booking is not None
    assert booking.models[A].joules == pytest.approx(30)
    feeder.idle()
    assert feeder.ledger.idle_source == "learnt"


def test_idle_power_of_a_busy_host_is_the_intercept_of_power_over_busy_time() -> None:
    feeder = Feeder(Ledger(tick_s=0.0))
    for number in range(60):
        a = 0.3 + 0.6 * (number % 7) / 7
        feeder.step(20 + 60 * a, a=a)
    assert feeder.ledger.idle_source == "regression"
    assert feeder.ledger.idle_watts == pytest.approx(20, rel=1e-3)


def test_an_intercept_is_kept_back_where_utilisation_hardly_varied() -> None:
    feeder = Feeder(Ledger(tick_s=0.0))
    for number in range(200):
        a = 0.9 + 0.05 * (number % 7) / 7
        feeder.step(20 + 60 * a, a=a)
    assert feeder.ledger.idle_watts is None


def test_two_models_are_told_apart_by_their_power() -> None:
    feeder = learnt()
    for number in range(200):
        a, b = 0.1 + 0.8 * (number % 7) / 7, 0.1 + 0.8 * (number % 5) / 5
        feeder.step(20 + 60 * a + 25 * b, a=a, b=b)
    accounts = feeder.ledger.accounts
    assert accounts[A].watts == pytest.approx(60, rel=0.01)
    assert accounts[B].watts == pytest.approx(25, rel=0.01)
    assert feeder.ledger.busy_watts_of(A) == accounts[A].watts


def test_models_that_always_run_together_share_by_busy_time() -> None:
    feeder = learnt()
    for number in range(100):
        a = 0.2 + 0.6 * (number % 7) / 7
        feeder.step(20 + 40 * 2 * a, a=a, b=a)
    assert feeder.ledger.accounts[A].watts == pytest.approx(40, rel=0.05)
    assert feeder.ledger.accounts[B].watts == pytest.approx(40, rel=0.05)


def test_a_model_that_is_loaded_later_is_told_apart_once_it_was_seen() -> None:
    feeder = learnt()
    for number in range(30):
        a = 0.3 + 0.1 * (number % 5)
        feeder.step(20 + 60 * a, a=a)
    bookings = [feeder.step(20 + 30 + 25 * b, a=0.5, b=b) for b in (0.2, 0.4, 0.6, 0.8, 0.3, 0.5, 0.7)]
    assert [booking is not None and booking.reason for booking in bookings[:5]] == ["learning"] * 5
    assert feeder.ledger.accounts[B].watts == pytest.approx(25, rel=0.05)


def test_energy_while_nothing_runs_beyond_idle_power_is_nobodys() -> None:
    feeder = learnt()
    before = feeder.ledger.unattributed_joules
    booking = feeder.step(100.0)
    assert booking is not None
    assert booking.reason == "nothing_running"
    assert feeder.ledger.unattributed_joules - before == pytest.approx(80)
    assert feeder.ledger.accounts[A].joules == 0


def test_noise_about_idle_power_is_not_booked_as_work() -> None:
    feeder = learnt()
    for number in range(400):
        feeder.step(20.1 + (3 if number % 2 else -3), a=0.001)
    assert feeder.ledger.accounts[A].joules == pytest.approx(40, abs=3.5)


def test_it_settles_between_changes_of_the_counter_not_between_polls() -> None:
    feeder = learnt()
    settled = feeder.ledger.settled
    for _ in range(4):
        assert feeder.step(0.0, 0.2, a=0.1) is None
    booking = feeder.step(50.0, 0.2, a=0.1)
    assert feeder.ledger.settled == settled + 1
    assert booking is not None
    assert booking.models[A].items == 5


def test_the_first_change_ends_a_tick_that_began_unseen() -> None:
    feeder = Feeder(Ledger(tick_s=1.0))
    feeder.step(0.0, 0.05)
    booking = feeder.step(80.0, 0.05, a=0.05)
    assert booking is not None
    assert booking.reason == "starting"
    assert booking.unattributed_joules == 80


@pytest.mark.parametrize(
    ("at_s", "joules"), [(12.1, None), (12.1, 100.0), (11.0, 500.0), (500.0, 500.0), (12.1, 262_143.0)]
)
def test_a_gap_is_unknown(at_s: float, joules: float | None) -> None:
    feeder = learnt()
    ledger, used = feeder.ledger, feeder.ledger.total_joules
    feeder.work = {A: Work(100.0, 50), B: Work(0.0, 0)}
    assert ledger.feed(at_s, joules, feeder.work) is None
    assert ledger.gaps == 1
    assert ledger.watts is None
    assert ledger.total_joules == used
    feeder.at_s, feeder.joules = at_s + 1, joules or 300.0
    ledger.feed(feeder.at_s, feeder.joules, feeder.work)
    feeder.step(45.0, a=0.5)
    assert ledger.total_joules == pytest.approx(used + 45)
    assert ledger.accounts[A].items == (1 if ledger.tick_s == 0.0 else 0), "what was done in the gap is left out"


def test_an_unloaded_models_joules_stay_in_the_sum() -> None:
    feeder = learnt()
    feeder.step(80.0, a=1.0)
    del feeder.work[A]
    feeder.joules += 20
    feeder.ledger.feed(feeder.at_s + 1, feeder.joules, {B: Work(0.0, 0)})
    assert A not in feeder.ledger.accounts
    assert feeder.ledger.dynamic_joules == pytest.approx(60)
    assert close(booked(feeder.ledger), feeder.ledger.total_joules)


def test_idle_energy_is_shared_by_those_that_are_loaded_alone() -> None:
    """Not by one that was unloaded within the tick, whose last work is still to be booked."""
    feeder = Feeder(Ledger(tick_s=1.0, calibration=Idle(20.0, 1.0, "calibration")))
    feeder.idle()
    feeder.step(80.0, a=1.0)
    feeder.at_s, feeder.joules = feeder.at_s + 1, feeder.joules + 50
    booking = feeder.ledger.feed(feeder.at_s, feeder.joules, {B: Work(0.0, 0)})
    assert booking is not None
    assert booking.models[A].joules > 0
    assert booking.models[A].idle_joules == booking.models[A].loaded_s == 0
    assert sum(part.idle_joules for part in booking.models.values()) == pytest.approx(booking.idle_joules)


def test_time_is_shared_evenly_by_those_that_are_loaded() -> None:
    feeder = learnt()
    booking = feeder.step(45.0, 2.0, a=0.5)
    assert booking is not None
    assert booking.models[A].loaded_s == booking.models[B].loaded_s == pytest.approx(1.0)
    assert feeder.ledger.accounts[B].loaded_s > 1.0


def test_an_estimate_gives_a_model_no_more_than_it_can_have_used() -> None:
    feeder = Feeder(Ledger(busy_watts=3.0, tick_s=0.0))
    booking = feeder.step(1.0, a=0.1)
    assert booking is not None
    assert booking.models[A].joules == pytest.approx(0.3)
    assert booking.unattributed_joules == pytest.approx(0.7)
    assert booking.reason == "beyond_estimate"
    assert feeder.ledger.idle_watts is None
    assert feeder.ledger.busy_watts_of(B) == 3.0
    shared = feeder.step(2.4, a=0.2, b=0.6)
    assert shared is not None
    assert shared.models[A].joules == pytest.approx(0.6)
    assert shared.models[B].joules == pytest.approx(1.8)
