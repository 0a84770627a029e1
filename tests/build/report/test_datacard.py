"""What the data are, counted."""

import numpy as np

from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.report.datacard import data_card


def test_splits_classes_and_groups_are_counted() -> None:
    labels = np.asarray([0, 0, 1], np.int64)
    part = Split(np.zeros((3, 1, 4, 4), np.uint8), labels, {"light": np.asarray(["dark", "bright", "dark"])})
    card = data_card(Dataset(("a", "b"), part, part, part), {"train": "1", "validation": "2", "test": "3"})
    assert (card["kind"], card["shape"]) == ("images", [1, 4, 4])
    assert card["splits"]["test"] == {
        "samples": 3,
        "classes": [2, 1],
        "slices": {"light": {"bright": 1, "dark": 2}},
        "sha256": "3",
    }


def test_texts_and_tensors_are_called_so() -> None:
    labels = np.asarray([0], np.int64)
    for inputs, kind in ((np.asarray(["a"], object), "texts"), (np.zeros((1, 2), np.float32), "tensors")):
        part = Split(inputs, labels)
        assert data_card(Dataset(("a",), part, part, part), dict.fromkeys(part_names(), ""))["kind"] == kind


def part_names() -> list[str]:
    return ["train", "validation", "test"]
