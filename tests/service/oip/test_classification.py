"""An output's best classes, as Triton writes them: `value:index:label`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from joulebox.oip.classification import classify
from joulebox.runtime.errors import BadRequest

LABELS = ["red", "green", "blue"]


def test_each_item_has_its_best_classes_first_with_their_labels() -> None:
    array = np.array([[0.5, 2.0, -1.0], [3.0, 0.25, 3.5]], np.float32)
    assert classify("y", array, 2, LABELS, batched=True).tolist() == [
        ["2.000000:1:green", "0.500000:0:red"],
        ["3.500000:2:blue", "3.000000:0:red"],
    ]


def test_more_classes_than_there_are_gives_all_and_labels_that_do_not_fit_are_left_out() -> None:
    assert classify("y", np.array([[1.0, 2.0]]), 9, LABELS, batched=True).tolist() == [["2.000000:1", "1.000000:0"]]


def test_without_a_batch_all_values_are_one_items() -> None:
    assert classify("y", np.array([[1.0], [2.0]]), 1, [], batched=False).tolist() == ["2.000000:1"]
    assert classify("y", np.array(2.0), 1, [], batched=False).tolist() == ["2.000000:0"]
    assert classify("y", np.zeros((0, 3)), 1, [], batched=False).tolist() == []


@pytest.mark.parametrize(
    ("values", "best"),
    [
        (np.array([[2**53, 2**53 + 1]]), "9007199254740993:1"),
        (np.array([[-(2**63), 5]]), "5:1"),
        (np.array([[0, 2**64 - 1]], np.uint64), "18446744073709551615:1"),
        (np.array([[0, 255]], np.uint8), "255:1"),
        (np.array([[-128, -127]], np.int8), "-127:1"),
        (np.array([[np.nan, -np.inf]]), "-inf:1"),
        (np.array([[1.0, np.inf]], np.float16), "inf:1"),
        (np.array([[7, 7]]), "7:0"),
    ],
)
def test_numbers_of_every_kind_are_ordered_exactly(values: np.ndarray, best: str) -> None:
    assert classify("y", values, 1, [], batched=True).tolist() == [[best]]


@given(stn.arrays(st.sampled_from([np.int64, np.uint8, np.float32]), (3, 5)), st.integers(1, 6))
def test_what_is_left_out_is_never_better(array: Any, classes: int) -> None:
    chosen = classify("y", array, classes, [], batched=True)
    for row, texts in zip(array, chosen, strict=True):
        indices = [int(text.split(":")[1]) for text in texts]
        kept, rest = row[indices], np.delete(row, indices)
        assert not any(later > earlier for earlier, later in pairwise(kept))
        assert not any(left > worst for left in rest for worst in kept)


@pytest.mark.parametrize("array", [np.array([["a"]], object), np.array([[True]])])
def test_what_holds_no_numbers_is_refused(array: np.ndarray) -> None:
    with pytest.raises(BadRequest, match="output 'y' holds no numbers"):
        classify("y", array, 1, [], batched=True)
