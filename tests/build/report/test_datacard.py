"""What the data are, counted."""

import numpy as np

from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.report.datacard import data_card

DIGESTS = {"train": "1", "validation": "2", "test": "3"}


def test_splits_classes_and_groups_are_counted() -> None:
    labels = np.asarray([0, 0, 1], np.int64)
    part = Split(
        np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4), labels, {"light": np.asarray(["dark", "bright", "dark"])}
    )
    card = data_card(Dataset(("a", "b"), part, part, part), DIGESTS)
    assert (card["kind"], card["shape"]) == ("images", [1, 4, 4])
    assert card["splits"]["test"] == {
        "samples": 3,
        "classes": [2, 1],
        "slices": {"light": {"bright": 1, "dark": 2}},
        "sha256": "3",
    }


def test_texts_and_tensors_are_called_so() -> None:
    labels = np.asarray([0, 1], np.int64)
    for inputs, kind in ((np.asarray(["a", "b"], object), "texts"), (np.eye(2, dtype=np.float32), "tensors")):
        part = Split(inputs, labels)
        assert data_card(Dataset(("a", "b"), part, part, part), DIGESTS)["kind"] == kind
