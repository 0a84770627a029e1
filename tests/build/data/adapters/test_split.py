"""Splits are a partition with each class in each part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.data.adapters.split import SHARE, check_classes, partition, three_way
from joulebox_build.errors import DataError


@given(
    counts=st.lists(st.integers(10, 80), min_size=2, max_size=6),
    parts=st.integers(1, 3),
    seed=st.integers(0, 2**31 - 1),
)
def test_parts_have_each_sample_once_and_their_share_of_each_class(counts: list[int], parts: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    found = partition(labels, parts, seed=seed)
    assert sorted(np.concatenate(found)) == list(range(len(labels)))
    for part in found[1:]:
        np.testing.assert_allclose(np.bincount(labels[part]), [SHARE * count for count in counts], atol=0.5)


def test_a_split_depends_on_the_seed_alone() -> None:
    labels = np.arange(100) % 3
    first, again, other = (partition(labels, 3, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])


def test_numbered_classes_are_in_the_order_of_their_numbers() -> None:
    names = [str(number) for number in range(12)] * 10
    assert check_classes("x", names) == tuple(str(number) for number in range(12))
    data = three_way("x", np.arange(120, dtype=np.float32)[:, None], names, {}, seed=0)
    assert all(sample[0] % 12 == label for sample, label in zip(data.test.inputs, data.test.labels, strict=True))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat"] * 20, "all 20 samples are of class 'cat'; expected two classes or more"),
        (["cat"] * 20 + ["dog"] * 9, "class 'dog' has 9 samples; expected at least 10"),
    ],
)
def test_one_class_or_too_few_samples_of_one_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        three_way("x", np.zeros((len(names), 1), np.float32), names, {}, seed=0)
