"""What the ledger says of devices whose truth is known. Conservation alone proves nothing: all could be somebody else's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import FIVE, TWO, Counter, Host, Load, Outcome, key, run

from joulebox.energy import Idle, Ledger

SEEDS = range(20)
HOST = Host(TWO["overlapping"])
SECOND = Counter(1.0, noise=0.05)


def median_errors(outcomes: list[Outcome]) -> list[float]:
    """Of each model, the median over the runs of what its joules per item are off, relative."""
    models = range(len(outcomes[0].truth.host.loads))
    return [float(np.median([abs(outcome.error(model)) for outcome in outcomes])) for model in models]


def runs(host: Host, counter: Counter) -> list[Outcome]:
    return [run(host, counter, seed) for seed in SEEDS]


@pytest.mark.parametrize("name", TWO)
def test_two_models_within_one_per_cent_after_five_minutes(name: str) -> None:
    assert max(median_errors(runs(Host(TWO[name]), Counter(0.1)))) < 0.01


def test_two_models_within_three_per_cent_with_noise() -> None:
    outcomes = runs(HOST, Counter(0.1, noise=0.05))
    assert max(median_errors(outcomes)) < 0.03
    naive = [float(np.median([outcome.error_by_busy_time(model) for outcome in outcomes])) for model in (0, 1)]
    assert naive[0] < -0.10, "busy time alone gives the big model too little"
    assert naive[1] > 0.35


def test_a_slow_counter_within_three_per_cent_after_half_an_hour() -> None:
    outcomes = runs(replace(HOST, seconds=1800), SECOND)
    assert max(median_errors(outcomes)) < 0.03
    assert not any(outcome.ledger.nonlinear for outcome in outcomes)


def test_under_a_power_cap_within_eight_per_cent_and_flagged() -> None:
    outcomes = runs(replace(HOST, cap_watts=70), Counter(0.1))
    assert max(median_errors(outcomes)) < 0.08
    assert all(outcome.ledger.nonlinear for outcome in outcomes)


def test_a_rare_model_gets_an_honestly_wide_interval() -> None:
    outcomes = [run(Host(FIVE), Counter(0.1, noise=0.05), seed) for seed in range(8)]
    for outcome in outcomes:
        widths = [outcome.ledger.ci95(key(model)) for model in range(5)]
        often, rare = widths[0], widths[4]
        assert often is not None
        assert all(account.joules >= 0 for account in outcome.ledger.accounts.values())
        relative = np.inf if rare is None else (rare[1] - rare[0]) / rare[1]
        assert relative > 5 * (often[1] - often[0]) / often[1]
    held = [outcome.holds(4) for outcome in outcomes]
    assert held.count(False) <= 1


@pytest.mark.slow
def test_stated_intervals_hold_the_truth() -> None:
    cases = [(Host(TWO[name]), Counter(0.1, noise=noise)) for name in TWO for noise in (0.0, 0.05)]
    cases += [(replace(HOST, seconds=900), SECOND), (Host(TWO["gaps"]), Counter(0.001, quantum_joules=6.1e-5))]
    held = [
        run(host, counter, 100 + seed).holds(model) for host, counter in cases for seed in range(63) for model in (0, 1)
    ]
    known = [each for each in held if each is not None]
    assert len(known) > 0.95 * len(held)
    assert sum(known) / len(known) >= 0.93


@pytest.mark.parametrize("tick_s", [0.001, 0.01, 0.03, 0.1, 1.0])
def test_any_tick(tick_s: float) -> None:
    outcome = run(replace(HOST, seconds=600), Counter(tick_s, quantum_joules=6.1e-5))
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.03


def test_a_tick_that_nobody_stated() -> None:
    outcome = run(HOST, Counter(0.1, known_tick=False))
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.01


def test_idle_power_that_drifts_is_followed() -> None:
    outcome = run(replace(Host(TWO["gaps"]), idle_drift=0.2), Counter(0.1, noise=0.02))
    assert outcome.ledger.idle_watts == pytest.approx(24, rel=0.04)
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.03


def test_a_model_whose_power_changes_is_followed() -> None:
    def clocks(at_s, _running):
        return np.where(at_s < 300, 1.0, np.array([[0.5], [1.0]]))

    outcome = run(replace(HOST, seconds=600, scaling=clocks), Counter(0.1, noise=0.02))
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.05


def test_one_model_alone() -> None:
    outcome = run(Host((Load(30, 0.2, 0.5),)), Counter(0.1, noise=0.05))
    assert abs(outcome.error(0)) < 0.01
    assert outcome.holds(0)


def test_wrap_around_changes_nothing() -> None:
    plain, wrapping = (run(HOST, Counter(0.1, wraps_joules=wraps)) for wraps in (None, 2**32 / 1e6))
    assert plain.fed_joules > 2 * 2**32 / 1e6
    assert wrapping.ledger.total_joules == pytest.approx(plain.ledger.total_joules)
    assert wrapping.error(1) == pytest.approx(plain.error(1))


@pytest.mark.parametrize("wraps_joules", [None, 262_143.3])
def test_a_reset_is_a_gap_even_where_a_meter_takes_it_for_a_wrap(wraps_joules: float | None) -> None:
    outcome = run(HOST, Counter(0.1, resets_s=(100.0, 200.0), wraps_joules=wraps_joules))
    ledger = outcome.ledger
    assert ledger.gaps == 2
    assert 0 < ledger.unknown_s < 1
    assert ledger.total_joules == pytest.approx(outcome.truth.joules[-1], rel=0.01)
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.01


def test_a_device_that_disappears_and_returns_leaves_a_gap() -> None:
    outcome = run(HOST, Counter(0.1, gone_s=(100.0, 150.0)))
    ledger, truth = outcome.ledger, outcome.truth
    assert ledger.gaps == 1
    assert ledger.unknown_s == pytest.approx(50, abs=0.5)
    known = truth.joules[-1] - np.diff(truth.at(truth.joules, np.array([100.0, 150.0])))[0]
    assert ledger.total_joules == pytest.approx(known, rel=0.01)
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.02


LOADS = st.lists(
    st.builds(Load, st.floats(1, 100), st.floats(0.01, 2), st.floats(0.01, 5), st.floats(0.001, 0.5)),
    min_size=1,
    max_size=5,
)
HOSTS = st.builds(
    Host,
    LOADS.map(tuple),
    idle_watts=st.floats(0, 50),
    seconds=st.floats(2, 40),
    cap_watts=st.sampled_from([None, 60.0]),
    idle_drift=st.floats(-0.5, 0.5),
)
COUNTERS = st.builds(
    Counter,
    st.sampled_from([0.001, 0.01, 0.03, 0.1, 0.3, 1.0]),
    noise=st.floats(0, 0.3),
    quantum_joules=st.sampled_from([0.0, 6.1e-5, 1.0]),
    wraps_joules=st.sampled_from([None, 262_143.0, 500.0]),
    resets_s=st.lists(st.floats(0.5, 40), max_size=2).map(tuple),
    gone_s=st.sampled_from([(0.0, 0.0), (3.0, 7.0)]),
    known_tick=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(HOSTS, COUNTERS, st.integers(0, 99), st.sampled_from([None, Idle(20.0, 1.0, "calibration")]))
def test_every_simulated_history_is_conserved(
    host: Host, counter: Counter, seed: int, calibration: Idle | None
) -> None:
    ledger = Ledger(tick_s=counter.tick_s if counter.known_tick else None, calibration=calibration)
    run(host, counter, seed, ledger)
    booked = ledger.dynamic_joules + ledger.idle_joules + ledger.unattributed_joules
    assert abs(booked - ledger.total_joules) <= 1e-9 * ledger.total_joules
    parts = [account.joules for account in ledger.accounts.values()]
    assert sum(parts) == pytest.approx(ledger.dynamic_joules, rel=1e-9)
    assert min([*parts, ledger.idle_joules, *ledger.unattributed.values()], default=0) >= 0
