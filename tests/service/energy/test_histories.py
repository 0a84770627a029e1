"""Whatever happens on a host, and however its counter tells it: every joule is booked once, none is negative, a gap is unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clocks import FIXED, Governor
from counters import SUSPENSION_S, UNIT_JOULES, Counter
from history import TWO, Host, Load
from hypothesis import event, given, settings
from hypothesis import strategies as st
from simulator import Outcome, key, run

from joulebox.energy import Idle, Ledger

HOST = Host(TWO["overlapping"], seconds=120.0)
TICKS_S = st.one_of(st.sampled_from([0.001, 0.01, 0.03, 0.1, 0.3, 1.0]), st.floats(0.001, 1.0))
LOADS = st.lists(
    st.builds(
        Load,
        watts=st.floats(1, 100),
        burst_s=st.floats(0.01, 2),
        pause_s=st.floats(0.01, 5),
        item_s=st.floats(0.001, 0.5),
        begins_s=st.sampled_from([0.0, 3.0]),
        batches=st.lists(st.integers(1, 32), min_size=1, max_size=4).map(tuple),
        turns=st.sampled_from([(np.inf, 1.0), (5.0, 0.3), (9.0, 3.0)]),
    ),
    min_size=1,
    max_size=5,
)
GOVERNORS = (FIXED, Governor(), Governor(turbo=0.15), Governor(slowest=0.8, slowest_volts=0.9, turbo=0.2))
STEPS_S = st.sampled_from([-50.0, -0.5, 0.5, 20.0, 100.0])
HOSTS = st.builds(
    Host,
    LOADS.map(tuple),
    idle_watts=st.floats(0, 50),
    seconds=st.floats(2, 60),
    cap_watts=st.sampled_from([None, 60.0, 200.0]),
    idle_drift=st.floats(-0.5, 0.5),
    governor=st.sampled_from(GOVERNORS),
    suspended_s=st.lists(st.floats(0, 40), max_size=2).map(tuple),
    clock_steps_s=st.lists(st.tuples(st.floats(0, 40), STEPS_S), max_size=2).map(tuple),
)
COUNTERS = st.builds(
    Counter,
    tick_s=TICKS_S,
    noise=st.sampled_from([0.0, 0.01, 0.05, 0.3]),
    quantum_joules=st.sampled_from([UNIT_JOULES, 6.1e-5, 1.0]),
    wraps_joules=st.sampled_from([None, 500.0, 2**32 / 1e6, 262_143.0]),
    resets_s=st.lists(st.floats(0.5, 40), max_size=2).map(tuple),
    gone_s=st.sampled_from([(0.0, 0.0), (0.0, 1.0), (1.0, 1.5), (3.0, 7.0), (5.0, 50.0)]),
    known_tick=st.booleans(),
)


def note(host: Host, counter: Counter, outcome: Outcome) -> None:
    """For `pytest --hypothesis-show-statistics`: how often what was really met with."""
    truth, seen = outcome.truth, outcome.seen
    watts = np.diff(truth.joules) / np.diff(truth.instants)
    together = (np.diff(truth.busy, axis=1) > 0).sum(axis=0)
    for name, met in {
        "five models": len(host.loads) == 5,
        "models at the same time": together.max() > 1,
        "batches of several sizes": any(len(set(load.batches)) > 1 for load in host.loads),
        "clocks that change": np.ptp(truth.clocks) > 0,
        "a cap that holds": host.cap_watts is not None and watts.max() > host.cap_watts - 1e-6,
        "idle power that drifts": abs(host.idle_drift) > 0.05 and host.idle_watts > 1,
        "noise": counter.noise > 0,
        "quanta of a joule": counter.quantum_joules == 1.0,
        "a tick under 20 ms": counter.tick_s < 0.02,
        "a tick over 300 ms": counter.tick_s > 0.3,
        "a wrap": counter.wraps_joules is not None and truth.joules[-1] > counter.wraps_joules,
        "a reset": min(counter.resets_s, default=np.inf) < host.seconds,
        "gone and back": seen.gone.any() and not seen.gone[-1],
        "suspended": np.ptp(seen.slept_s) > 0,
        "a clock that steps back": (np.diff(seen.jumped_s) < 0).any(),
        "a clock that steps on": (np.diff(seen.jumped_s) > 0).any(),
        "a gap": outcome.ledger.gaps > 0,
        "joules of a model": outcome.ledger.dynamic_joules > 0,
    }.items():
        if met:
            event(name)


@settings(max_examples=200, deadline=None)
@given(HOSTS, COUNTERS, st.integers(0, 99), st.sampled_from([None, Idle(20.0, 1.0, "calibration")]))
def test_every_joule_is_booked_once_and_none_is_negative(
    host: Host, counter: Counter, seed: int, calibration: Idle | None
) -> None:
    ledger = Ledger(tick_s=counter.tick_s if counter.known_tick else None, calibration=calibration)
    outcome = run(host, counter, seed, ledger)
    note(host, counter, outcome)
    booked = ledger.dynamic_joules + ledger.idle_joules + ledger.unattributed_joules
    assert abs(booked - ledger.total_joules) <= 1e-9 * ledger.total_joules
    parts = [account.joules for account in ledger.accounts.values()]
    assert sum(parts) == pytest.approx(ledger.dynamic_joules, rel=1e-9)
    assert min([*parts, ledger.idle_joules, *ledger.unattributed.values()], default=0) >= 0
    assert ledger.unknown_s >= 0


@settings(max_examples=100, deadline=None)
@given(HOSTS, COUNTERS, st.integers(0, 99))
def test_nothing_is_counted_twice(host: Host, counter: Counter, seed: int) -> None:
    outcome = run(host, counter, seed)
    ledger = outcome.ledger
    assert ledger.total_joules <= outcome.fed_joules * (1 + 1e-9)
    if not counter.noise and counter.wraps_joules is None:
        assert ledger.total_joules <= outcome.truth.joules[-1] * (1 + 1e-9) + counter.quantum_joules
    for model in range(len(host.loads)):
        account = ledger.accounts.get(key(model))
        assert account is None or account.items <= len(outcome.truth.finished[model])
        assert account is None or account.busy_s <= outcome.truth.busy[model, -1] * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(HOSTS, COUNTERS, st.integers(0, 99))
def test_what_was_not_seen_is_a_gap(host: Host, counter: Counter, seed: int) -> None:
    outcome = run(host, counter, seed)
    seen = outcome.seen
    for unseen in (seen.gone, np.diff(seen.slept_s, prepend=0.0) > 0, np.diff(seen.jumped_s, prepend=0.0) < 0):
        assert outcome.ledger.gaps >= (1 if unseen[1:].any() and not seen.gone[0] else 0)


def test_what_was_used_while_the_host_was_suspended_is_unknown() -> None:
    outcome = run(replace(HOST, suspended_s=(60.0,)), Counter(0.1))
    assert outcome.ledger.gaps == 1
    assert outcome.fed_joules > outcome.truth.joules[-1] + 0.9 * HOST.idle_watts * SUSPENSION_S
    assert outcome.ledger.total_joules == pytest.approx(outcome.truth.joules[-1], rel=0.01)
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.02


@pytest.mark.parametrize("step_s", [-0.5, -30.0, 100.0, 3600.0])
def test_a_clock_that_steps_leaves_a_gap(step_s: float) -> None:
    outcome = run(replace(HOST, clock_steps_s=((60.0, step_s),)), Counter(0.1))
    ledger = outcome.ledger
    assert ledger.gaps == 1
    assert ledger.total_joules == pytest.approx(outcome.truth.joules[-1], rel=0.01)
    assert max(abs(outcome.error(model)) for model in (0, 1)) < 0.02
