"""Data that cannot be right are refused in one line: the split, the first sample, its value, and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from joulebox_build.data.checks import check_part, shared_too_many
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.errors import DataError

NAMES = ("cat", "dog")


def images() -> np.ndarray:
    return np.arange(4 * 9, dtype=np.uint8).reshape(4, 1, 3, 3)


def texts() -> np.ndarray:
    return np.asarray(["a cat", "a dog", "cats", "dogs"], object)


def tensors() -> np.ndarray:
    return images().astype(np.float32)


def split(inputs: np.ndarray, labels: Any = (0, 1, 0, 1), **slices: Any) -> Split:
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
    (images, Split(images().tolist(), np.zeros(4, np.int64)), "test inputs: list; expected ndarray: convert it"),
    (images, Split(images(), [0, 1, 0, 1]), "test labels: list; expected ndarray: convert it"),
    (images, split(images(), light=["dark"] * 4), "test slice 'light': list; expected ndarray: convert it"),
    (images, (images(), np.zeros(4, np.int64)), "test: tuple; expected Split"),
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
    (
        texts,
        split(changed(texts, 3, "a \ud83d")),
        r"test input 3 has '\\ud83d' at 2, half of a character, .*: replace it",
    ),
    (
        images,
        split(images(), light=np.asarray(["dark", None] * 2, object)),
        r"test slice 'light', sample 1, is NoneType 'None'; expected a text",
    ),
    (images, split(images(), light=np.asarray([1.5, np.nan] * 2)), r"'light', sample 0, is float '1\.5'; expected"),
    (images, split(images(), light=np.asarray(["dark"])), r"slice 'light' has the shape \[1\]; expected \[4\]"),
    (images, split(images(), **{"class": np.asarray(["a"] * 4)}), r"slice 'class', which every split has .*: give it"),
]


@pytest.mark.parametrize(("make", "bad", "message"), BAD)
@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_split_that_cannot_be_right_is_refused(
    make: Callable[[], np.ndarray], bad: Any, message: str, name: str
) -> None:
    splits = {each: split(make()) for each in ("train", "validation", "test")} | {name: bad}
    with pytest.raises(DataError, match=message.replace("test", name)) as caught:
        Dataset(NAMES, **splits)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["validation", "test", "unlabelled"])
@pytest.mark.parametrize(
    ("other", "said"),
    [
        (tensors() / 255, r"float32 \[4, 1, 3, 3\]; expected uint8 \[None, 1, 3, 3\], as those of train: convert"),
        (images()[..., :2], r"uint8 \[4, 1, 3, 2\]; expected uint8 \[None, 1, 3, 3\], as those of train"),
        (texts(), r"object \[4\]; expected uint8"),
    ],
)
def test_inputs_of_another_type_or_shape_than_those_of_train_are_refused(
    name: str, other: np.ndarray, said: str
) -> None:
    parts: dict[str, Any] = {each: split(images()) for each in ("train", "validation", "test")}
    parts[name] = other if name == "unlabelled" else split(other)
    with pytest.raises(DataError, match=f"^{name} inputs are {said}"):
        Dataset(NAMES, **parts)


@pytest.mark.parametrize(
    ("make", "value", "message"),
    [
        (tensors, np.nan, "unlabelled input 1 holds nan"),
        (texts, None, "unlabelled input 1 is NoneType"),
        (lambda: tensors().tolist(), [], "unlabelled inputs: list; expected ndarray"),
    ],
)
def test_unlabelled_inputs_are_held_to_what_the_others_are(make: Any, value: Any, message: str) -> None:
    good = split(texts() if make is texts else tensors())
    with pytest.raises(DataError, match=message):
        Dataset(NAMES, good, good, good, unlabelled=changed(make, 1, value))


def test_a_part_of_sorted_data_that_lacks_a_class_is_refused() -> None:
    labels = np.asarray([0, 0, 0, 1, 1])
    check_part("distill.samples", labels[:4], NAMES)
    with pytest.raises(
        DataError, match=r"distill\.samples: 3; the first 3 training samples have none of class 1 \('dog'\): raise it"
    ):
        check_part("distill.samples", labels[:3], NAMES)


@pytest.mark.parametrize("make", [images, texts, tensors])
def test_sound_data_are_taken(make: Callable[[], np.ndarray]) -> None:
    good = split(make(), light=np.asarray(["dark", "bright"] * 2))
    assert len(Dataset(NAMES, good, good, good).test) == 4


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cat",), r"labels are \['cat'\]; a classifier needs two"),
        (("cat", "cat"), "labels have 'cat' twice"),
        ((0, 1), "label 0 is int '0'; expected a text"),
    ],
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
