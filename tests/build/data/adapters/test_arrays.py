"""A NumPy file: images in any usual layout, numbers of any rank; what cannot be right is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulebox_build.data.adapters import read_arrays, shifted
from joulebox_build.errors import DataError

LABELS = np.arange(40) % 2


def write(path: Path, **content: Any) -> Path:
    np.savez(path, **content)
    return path


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((40, 6, 8), (1, 6, 8)), ((40, 6, 8, 3), (3, 6, 8)), ((40, 3, 6, 8), (3, 6, 8)), ((40, 6, 8, 1), (1, 6, 8))],
)
def test_images_get_their_channels_first(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    data = read_arrays(write(tmp_path / "x.npz", inputs=images, labels=LABELS))
    assert data.train.inputs.shape[1:] == expected
    assert data.train.inputs.dtype == np.uint8


def test_numbers_become_float32_and_classes_are_named(tmp_path: Path) -> None:
    inputs = np.arange(80).reshape(40, 2)
    data = read_arrays(write(tmp_path / "x.npz", inputs=inputs, labels=LABELS, names=np.asarray(["even", "odd"])))
    assert data.labels == ("even", "odd")
    assert data.train.inputs.dtype == np.float32
    assert all(sample[0] / 2 % 2 == label for sample, label in zip(data.test.inputs, data.test.labels, strict=True))


def test_labels_may_be_texts(tmp_path: Path) -> None:
    labels = np.asarray(["b", "a"] * 20)
    inputs = np.arange(80.0).reshape(40, 2)
    assert read_arrays(write(tmp_path / "x.npz", inputs=inputs, labels=labels)).labels == ("a", "b")


def test_slices_and_inputs_without_labels_are_taken_over(tmp_path: Path) -> None:
    inputs, more = np.arange(80).reshape(40, 2), np.arange(10).reshape(5, 2)
    path = write(tmp_path / "x.npz", inputs=inputs, labels=LABELS, slice_third=np.arange(40) % 3, unlabelled=more)
    data = read_arrays(path)
    assert data.unlabelled is not None
    assert data.unlabelled.dtype == np.float32
    assert data.unlabelled.tolist() == more.tolist()
    for split in data.splits().values():
        assert split.slices["third"].tolist() == [str(int(sample[0]) // 2 % 3) for sample in split.inputs]


def test_images_are_in_groups_by_their_brightness_unless_the_file_says_others(tmp_path: Path) -> None:
    images = np.repeat(np.arange(40, dtype=np.uint8), 64).reshape(40, 8, 8)
    data = read_arrays(write(tmp_path / "x.npz", inputs=images, labels=LABELS))
    assert set(data.train.slices["brightness"]) == {"dark", "medium", "bright"}
    means = {
        name: data.train.inputs[data.train.slices["brightness"] == name].mean() for name in ("dark", "medium", "bright")
    }
    assert means["dark"] < means["medium"] < means["bright"]
    own = read_arrays(write(tmp_path / "y.npz", inputs=images, labels=LABELS, slice_brightness=LABELS))
    assert set(own.train.slices["brightness"]) == {"0", "1"}


PLAIN = np.arange(80.0).reshape(40, 2)
NAN = np.zeros((40, 2))
NAN[7, 1] = np.nan


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"inputs": NAN, "labels": LABELS}, r"inputs\[7, 1\] is nan; expected finite"),
        (
            {"inputs": np.zeros((40, 2)), "labels": LABELS + 1},
            "2 classes but go from 1 to 2; expected each number from 0",
        ),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS - 1}, "go from -1 to 0"),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS, "names": np.asarray(["a"])}, "1 classes but go from 0 to 1"),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS * 0.5}, "labels are float64; expected whole numbers from 0"),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS[:9]}, "40 inputs but labels of shape"),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS * 0}, "all 40 samples are of class '0'"),
        ({"inputs": np.zeros(40), "labels": LABELS}, r"inputs are float64 \[40\]; expected numbers \[N, ...\]"),
        (
            {"inputs": np.zeros((40, 5, 5, 5), np.uint8), "labels": LABELS},
            "inputs are images .*; expected one or three channels",
        ),
        (
            {"inputs": np.zeros((40, 2)), "labels": LABELS, "slice_site": LABELS[:9]},
            r"slice_site is int64 \[9\]; expected texts or whole numbers \[40\]",
        ),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS, "slice_site": LABELS * 0.5}, "slice_site is float64"),
        ({"inputs": np.zeros((40, 2)), "labels": LABELS, "slice_site": np.arange(40)}, "slice 'site' has 40 groups"),
        (
            {"inputs": PLAIN, "labels": LABELS, "unlabelled": np.arange(15.0).reshape(5, 3)},
            r"expected float32 \[None, 2\]",
        ),
        ({"inputs": PLAIN, "labels": LABELS, "unlabelled": NAN}, r"unlabelled\[7, 1\] is nan"),
        ({"inputs": np.zeros((40, 2))}, "has no array 'labels'; it has inputs"),
        (
            {"inputs": np.asarray([np.zeros(2), np.zeros(3)] * 20, object), "labels": LABELS},
            "is no .npz file of plain arrays .*; arrays of objects, as of samples of mixed sizes, are not taken",
        ),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_arrays(write(tmp_path / "x.npz", **content))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"x\.npz is no "):
        read_arrays(tmp_path / "x.npz")
    with pytest.raises(DataError, match="No such file or directory"):
        read_arrays(tmp_path / "missing.npz")


def test_shifting_moves_each_image_by_so_many_pixels_at_most() -> None:
    images = np.zeros((50, 3, 9, 9), np.uint8)
    images[:, :, 4, 4] = 200
    moved = shifted(images, np.random.default_rng(0), 2)
    rows, columns = np.nonzero(moved[:, 0])[1:]
    assert moved.shape == images.shape
    assert (len(rows), rows.min(), rows.max(), columns.min(), columns.max()) == (50, 2, 6, 2, 6)
