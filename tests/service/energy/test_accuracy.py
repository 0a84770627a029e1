"""What the ledger says of devices whose truth is known. Conservation alone proves nothing: all could be somebody else's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clocks import Governor
from counters import Counter
from history import FIVE, TWO, Host, Load
from simulator import Outcome, key, run

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


@pytest.mark.parametrize(
    ("governor", "limit"),
    [(Governor(), 0.06), (Governor(turbo=0.15), 0.12), (Governor(slowest=0.8, slowest_volts=0.9, turbo=0.2), 0.05)],
)
def test_where_clocks_follow_the_load_it_stays_far_nearer_than_busy_time(governor: Governor, limit: float) -> None:
    outcomes = [run(replace(HOST, governor=governor), Counter(0.1), seed) for seed in range(5)]
    assert max(median_errors(outcomes)) < limit
    assert min(outcome.error_by_busy_time(1) for outcome in outcomes) > 0.35
    assert sum(outcome.ledger.nonlinear for outcome in outcomes) >= 4


def test_batches_of_many_sizes_are_shared_out_within_five_per_cent() -> None:
    loads = tuple(replace(load, batches=(1, 2, 4, 8, 16)) for load in HOST.loads)
    outcomes = [run(replace(HOST, loads=loads), Counter(0.1), seed) for seed in range(5)]
    assert max(median_errors(outcomes)) < 0.05


@pytest.mark.parametrize(
    ("host", "tick_s"), [(Host(TWO["short"], governor=Governor()), 0.2), (replace(HOST, cap_watts=70), 0.5)]
)
def test_idle_power_that_was_never_seen_is_right_where_power_is_no_straight_line(host: Host, tick_s: float) -> None:
    ledger = run(host, Counter(tick_s)).ledger
    assert ledger.idle_source == "regression"
    assert ledger.idle_watts == pytest.approx(20, rel=0.03)


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
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.04


def test_a_model_whose_power_changes_is_followed() -> None:
    big, small = TWO["overlapping"]
    host = Host((replace(big, watts=30, turns=(300.0, 2.0)), small), seconds=600)
    outcome = run(host, Counter(0.1, noise=0.02))
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
def test_a_reset_is_a_gap_whether_or_not_the_counter_wraps(wraps_joules: float | None) -> None:
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
