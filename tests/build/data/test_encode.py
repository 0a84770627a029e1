"""Samples reach a network on the build host as they do on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from joulebox.package.manifest import ImagePreprocess, TextPreprocess
from joulebox.preprocess.text import token_ids
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.data.encode import model_input
from joulebox_build.errors import DataError

TEXT = TextPreprocess(kind="text", buckets=50, length=6, word_ngrams=2)
IMAGE = ImagePreprocess(height=1, width=1, channels=1, mean=[0.0], std=[1.0])


def dataset(inputs: list[Any], dtype: Any) -> Dataset:
    split = Split(np.array(inputs, dtype), np.array([0, 1]))
    return Dataset(("a", "b"), split, split, split)


def test_texts_become_the_numbers_that_a_device_makes_of_them() -> None:
    texts = ["so good", "😀 @ann"]
    given = model_input(TEXT, dataset(texts, object))
    assert (given.name, given.datatype, given.shape, given.dtype) == ("ids", "INT64", (6,), np.int64)
    np.testing.assert_array_equal(given.encode(np.array(texts, object)), token_ids(texts, TEXT))


def test_a_network_may_change_its_input() -> None:
    data = dataset([[1.5, 2.0], [3.0, 4.0]], np.float32)
    given = model_input(None, data)
    tensor = given.encode(data.train.inputs[:1])
    np.testing.assert_array_equal(tensor, data.train.inputs[:1])
    tensor -= 1
    assert data.train.inputs[0].tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("data", "preprocess", "said"),
    [
        (dataset([[[[0]]], [[[1]]]], np.uint8), TEXT, r"load\(\) gives uint8 \[1, 1, 1\]; preprocess says texts"),
        (dataset(["a", "b"], object), IMAGE, r"load\(\) gives object \[\]; preprocess says images"),
        (dataset(["a", "b"], object), None, "needs a preprocess in the recipe"),
    ],
)
def test_data_of_another_kind_than_the_preprocessing_is_refused(data: Dataset, preprocess: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        model_input(preprocess, data)
