"""What is kept of the past stays small, however long it runs and however many models come and go."""

from __future__ import annotations

import pickle

import numpy as np

from joulebox.energy.moments import MODELS_MAX, PAST_BLOCKS, WINDOW_BLOCKS, Moments


def test_blocks_are_merged_and_lose_nothing() -> None:
    moments = Moments()
    for _ in range(20_000):
        moments.add(0.5, 10.0, 0.0, {("a", "1"): 0.1})
    assert len(moments.window) == WINDOW_BLOCKS
    assert len(moments.past) <= PAST_BLOCKS
    assert moments.past.total.rows == 20_000


def test_models_that_come_and_go_take_each_others_place() -> None:
    moments = Moments()
    for number in range(200):
        for _ in range(25):
            moments.add(0.5, 10.0, 0.0, {("often", "1"): 0.2, ("swapped", str(number)): 0.1})
    assert len(moments.columns) == MODELS_MAX
    assert ("often", "1") in moments.columns
    assert ("swapped", "199") in moments.columns
    assert len(moments.recent().gram) == MODELS_MAX + 3
    assert len(moments.past) <= PAST_BLOCKS


def test_it_is_the_same_once_pickled() -> None:
    moments = Moments()
    for number in range(1000):
        moments.add(0.5, 10.0, 0.1, {("a", "1"): 0.2, ("b", str(number // 500)): 0.1})
    other = pickle.loads(pickle.dumps(moments))
    for each in (moments, other):
        for _ in range(200):
            each.add(0.5, 12.0, 0.1, {("a", "1"): 0.3})
    np.testing.assert_array_equal(moments.recent().gram, other.recent().gram)
    np.testing.assert_array_equal(moments.past.total.gram, other.past.total.gram)
    assert (other.columns, len(other.past), len(other.window)) == (moments.columns, len(moments.past), WINDOW_BLOCKS)
