"""The ledger gives every joule to somebody, once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import Ledger, Work

A, B = ("a", "1"), ("b", "1")
SECONDS = st.floats(0, 10)
INTERVAL = st.tuples(
    st.floats(0, 1e6), st.floats(0.001, 10), SECONDS, st.integers(0, 1000), SECONDS, st.integers(0, 1000)
)


@given(st.lists(INTERVAL, max_size=30), st.sampled_from([None, 3.0]))
def test_models_and_unattributed_add_up_to_what_the_device_used(intervals, busy_watts: float | None) -> None:
    ledger = Ledger(busy_watts=busy_watts)
    busy_a = busy_b = 0.0
    items_a = items_b = 0
    for joules, seconds, more_a, count_a, more_b, count_b in intervals:
        busy_a, busy_b, items_a, items_b = busy_a + more_a, busy_b + more_b, items_a + count_a, items_b + count_b
        ledger.settle(joules, seconds, {A: Work(busy_a, items_a), B: Work(busy_b, items_b)})
    total = sum(joules for joules, *_ in intervals)
    booked = ledger.unattributed_joules + sum(account.joules for account in ledger.accounts.values())
    assert math.isclose(ledger.total_joules, total, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(booked, total, rel_tol=1e-9, abs_tol=1e-9)


def test_energy_is_shared_by_busy_time() -> None:
    ledger = Ledger()
    settled = ledger.settle(12.0, 1.0, {A: Work(0.2, 2), B: Work(0.6, 3)})
    assert settled[A].joules == pytest.approx(3.0)
    assert settled[B].joules == pytest.approx(9.0)
    assert ledger.accounts[B].joules_per_item == pytest.approx(3.0)


def test_energy_of_an_interval_without_work_is_nobodys() -> None:
    ledger = Ledger()
    assert ledger.settle(5.0, 1.0, {A: Work(0.0, 0)}) == {}
    assert ledger.unattributed_joules == 5.0
    assert ledger.accounts[A].joules_per_item is None, "unknown, not 0"


def test_a_model_gets_no_more_than_it_can_have_used() -> None:
    ledger = Ledger(busy_watts=3.0)
    settled = ledger.settle(1.0, 1.0, {A: Work(0.1, 1)})
    assert settled[A].joules == pytest.approx(0.3)
    assert ledger.unattributed_joules == pytest.approx(0.7)


def test_a_provisional_figure_is_unknown_until_something_is_settled() -> None:
    ledger = Ledger()
    ledger.settle(0.0, 1.0, {A: Work(0.0, 0)})
    assert ledger.busy_watts_of(A) is None
    ledger.settle(2.0, 1.0, {A: Work(0.5, 1)})
    assert ledger.busy_watts_of(A) == pytest.approx(4)


def test_what_was_done_while_a_counter_could_not_be_read_is_left_out() -> None:
    ledger = Ledger()
    ledger.skip({A: Work(100.0, 50)})
    settled = ledger.settle(1.0, 1.0, {A: Work(100.5, 51)})
    assert settled[A].items == 1
