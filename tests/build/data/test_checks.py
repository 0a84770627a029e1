"""Data that cannot be right are refused in one line: the split, the first sample, its value, and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from joulebox_build.data.checks import shared_too_many
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.errors import DataError

NAMES = ("cat", "dog")


def images() -> np.ndarray:
    return np.arange(4 * 9, dtype=np.uint8).reshape(4, 1, 3, 3)


def texts() -> np.ndarray:
    return np.asarray(["a cat", "a dog", "cats", "dogs"], object)


def tensors() -> np.ndarray:
    return images().astype(np.float32)


def split(inputs: np.ndarray, labels: Any = (0, 1, 0, 1), **slices: np.ndarray) -> Split:
    return Split(inputs, np.asarray(labels), slices)


def changed(make: Callable[[], np.ndarray], place: Any, value: Any) -> np.ndarray:
    inputs = make()
    inputs[place] = value
    return inputs


BAD = [
    (images, split(images()[:, 0]), r"test inputs are uint8 \[4, 3, 3\]; expected images .*: convert them"),
    (images, split(images().astype(np.float64)), r"test inputs are float64 .*; expected"),
    (
        images,
        split(images()[:0], np.zeros(0, np.int64)),
        r"test inputs have the shape \[0, 1, 3, 3\].*: give it samples",
    ),
    (images, split(images()[..., :0]), r"shape \[4, 1, 3, 0\], so there is nothing in them"),
    (images, split(images()[..., :2]), r"test samples have the shape \[1, 3, 2\], those of train \[1, 3, 3\]: resize"),
    (images, split(images()[:1].repeat(4, 0)), r"all 4 inputs of test are the same as input 0: see how load\(\)"),
    (images, split(images(), (0, 1, 0)), r"test has 4 inputs but labels of shape \[3\]: give each"),
    (images, split(images(), (0.0, 1.0, 0.0, 1.0)), r"test labels are float64; expected class numbers int64: labels\."),
    (images, split(images(), (0, 1, 2, 9)), r"test label 2 is 2; expected numbers from 0 to 1 .* \(2 of 4 are not\)"),
    (images, split(images(), (0, 1, 0, -1)), r"test label 3 is -1; expected numbers from 0 to 1"),
    (images, split(images(), (0, 0, 0, 0)), r"test has no sample of class 1 \('dog'\); .*: add some"),
    (tensors, split(changed(tensors, (2, 0, 1, 1), np.nan)), r"test input 2 holds nan \(element 4\); .*: leave"),
    (tensors, split(changed(tensors, (3, 0, 0, 0), -np.inf)), r"test input 3 holds -inf \(element 0\)"),
    (texts, split(changed(texts, 1, " \n")), r"test input 1 is the empty text ' \\n': leave it out"),
    (texts, split(changed(texts, 2, None)), r"test input 2 is NoneType 'None'; expected a text"),
    (images, split(images(), light=np.asarray(["dark"])), r"slice 'light' has the shape \[1\]; expected \[4\]"),
    (images, split(images(), **{"class": np.asarray(["a"] * 4)}), r"slice 'class', which every split has .*: give it"),
]


@pytest.mark.parametrize(("make", "bad", "message"), BAD)
@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_split_that_cannot_be_right_is_refused(
    make: Callable[[], np.ndarray], bad: Split, message: str, name: str
) -> None:
    splits = {each: split(make()) for each in ("train", "validation", "test")} | {name: bad}
    expected = message.replace("test", name) if "resize" not in message else "resize"
    with pytest.raises(DataError, match=expected) as caught:
        Dataset(NAMES, **splits)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("make", [images, texts, tensors])
def test_sound_data_are_taken(make: Callable[[], np.ndarray]) -> None:
    good = split(make(), light=np.asarray(["dark", "bright"] * 2))
    assert len(Dataset(NAMES, good, good, good).test) == 4


@pytest.mark.parametrize(
    ("names", "message"),
    [(("cat",), r"labels are \['cat'\]; a classifier needs two"), (("cat", "cat"), "labels have 'cat' twice")],
)
def test_labels_are_two_at_least_and_differ(names: tuple[str, ...], message: str) -> None:
    good = split(images(), (0, 0, 0, 0))
    with pytest.raises(DataError, match=message):
        Dataset(names, good, good, good)


def test_a_bad_sample_far_down_is_found() -> None:
    inputs = np.arange(5000, dtype=np.float32).reshape(2500, 2)
    inputs[2345, 1] = np.nan
    good, bad = split(inputs[:4]), Split(inputs, np.arange(2500) % 2)
    with pytest.raises(DataError, match="train input 2345 holds nan"):
        Dataset(NAMES, bad, good, good)


def test_splits_that_share_too_much_are_warned_of() -> None:
    samples = {"train": 1000, "validation": 100, "test": 200}
    assert shared_too_many({"train/validation": 1, "train/test": 2, "validation/test": 0}, samples) == []
    (line,) = shared_too_many({"train/test": 3}, samples)
    assert line.startswith("train/test: 3 of 200 samples (1.5%) of test are in the other one, too; above 1%")
