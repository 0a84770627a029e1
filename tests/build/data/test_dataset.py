"""Splits are disjoint and balanced, and data that cannot be right are refused."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.data.dataset import Dataset, Split, stratified_holdout
from joulebox_build.data.files import find_files
from joulebox_build.errors import DataError


def numbered(labels: list[int]) -> Split:
    """Each image is its own number."""
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split(images, np.asarray(labels, np.int64))


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=200),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_holdout_takes_each_sample_once_and_evenly_from_each_class(
    labels: list[int], share: float, seed: int
) -> None:
    split, count = numbered(labels), int(share * len(labels))
    kept, held = stratified_holdout(split, count, seed=seed)
    assert len(held) == count
    assert sorted([*kept.inputs.ravel(), *held.inputs.ravel()]) == list(range(len(labels)))
    for part in (kept, held):
        assert [labels[number] for number in part.inputs.ravel()] == part.labels.tolist()
    taken = {label: int((held.labels == label).sum()) for label in set(labels)}
    left = {label for label in set(labels) if (kept.labels == label).any()}
    assert all(taken[label] >= max(taken.values()) - 1 for label in left)


@given(seed=st.integers(0, 2**31 - 1))
def test_a_holdout_depends_on_the_seed_alone(seed: int) -> None:
    split = numbered([0, 1] * 20)
    first, second = (stratified_holdout(split, 10, seed=seed)[1] for _ in range(2))
    assert first.digest() == second.digest()


def test_a_digest_changes_with_any_pixel_or_label() -> None:
    split = numbered([0, 1, 0])
    other_pixel = Split(split.inputs + np.uint8(1), split.labels)
    other_label = Split(split.inputs, 1 - split.labels)
    assert len({split.digest(), other_pixel.digest(), other_label.digest()}) == 3


texts = st.lists(st.text(st.sampled_from("a\0"), max_size=3), min_size=1, max_size=4)


@given(texts, texts)
def test_other_texts_have_another_digest(first: list[str], second: list[str]) -> None:
    """Whatever is in them, or at the same place in the groups of a slice."""

    def digests(found: list[str]) -> tuple[str, str]:
        labels = np.zeros(len(found), np.int64)
        as_inputs = Split(np.array(found, object), labels)
        as_groups = Split(
            np.zeros((len(found), 1), np.float32),
            labels,
            {"shop": np.array([text.replace("\0", "b") for text in found])},
        )
        return as_inputs.digest(), as_groups.digest()

    for one, other in zip(digests(first), digests(second), strict=True):
        assert (one == other) == (first == second)


def test_images_that_two_splits_share_are_counted() -> None:
    train, validation = numbered([0, 1, 0, 1]), numbered([0, 1])
    test = Split(np.asarray([[[[98]]], [[[99]]]], np.uint8), np.asarray([0, 1]))
    assert Dataset(("a", "b"), train, validation, test).duplicates() == {
        "train/validation": 2,
        "train/test": 0,
        "validation/test": 0,
    }


def test_a_file_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.gz").write_bytes(gzip.compress(b"other"))
    expected = {"data.gz": hashlib.sha256(b"content").hexdigest()}
    with pytest.raises(DataError, match=r"data\.gz has content of SHA-256 .*, expected .*; delete it"):
        find_files("x", expected, folders=[tmp_path], download="unused", hint="no hint")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.gz").write_bytes(gzip.compress(b"content" * 100)[:-9])
    with pytest.raises(DataError, match=r"data\.gz cannot be read as gzip"):
        find_files("x", {"data.gz": "0"}, folders=[tmp_path], download="unused", hint="no hint")


def test_a_named_folder_without_the_files_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"has no data\.gz; put it there"):
        find_files("x", {"data.gz": "0"}, folders=[], download="unused", hint="put it there")
