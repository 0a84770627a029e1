"""Inputs for a finished model: those of its owner, checked, or made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulebox.engine.datatypes import NUMPY
from joulebox_build.errors import BuildError
from joulebox_build.graph.onnxfile import Tensor
from joulebox_build.importing.samples import COUNT, COUNT_MAX, made_up, read_samples

IDS = Tensor("ids", "INT64", ("batch", "sequence"))
RATE = Tensor("rate", "INT64", ())
TEXT = Tensor("text", "BYTES", (None,))


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path.with_suffix(".npz")


def shapes(inputs: list[Tensor], *, batched: bool) -> list[list[tuple[int, ...]]]:
    return [[made[0][tensor.name].shape for tensor in inputs] for made in made_up(inputs, batched=batched)]


def test_made_up_samples_are_batches_of_one_where_the_model_is_batched() -> None:
    mask = Tensor("mask", "BOOL", ("batch", "sequence", "sequence"))
    assert shapes([IDS, mask], batched=True)[0] == [(1, 8), (1, 8, 8)]


def test_made_up_samples_give_free_dimensions_one_size_where_it_is_not() -> None:
    state = Tensor("state", "FP32", (2, "batch", 128))
    assert shapes([IDS, state, RATE], batched=False)[0] == [(8, 8), (2, 8, 128), ()]


def test_other_sizes_and_smaller_numbers_are_tried_next() -> None:
    tried = list(made_up([IDS], batched=True))
    assert [int(made[0]["ids"].max()) < limit for made, limit in zip(tried, (100, 10, 2, 1), strict=False)] == [
        True
    ] * 4
    assert {made[0]["ids"].shape for made in tried} == {(1, n) for n in (8, 16, 32, 64, 128, 224, 256, 512, 1)}
    fixed = Tensor("x", "FP32", ("batch", 3, 4))
    assert len(list(made_up([fixed], batched=True))) == 1, "there is nothing else to try"


def test_what_would_be_huge_is_not_made_up() -> None:
    volume = Tensor("x", "FP32", (None,) * 5)
    assert max(made[0]["x"].size for made in made_up([volume], batched=False)) <= 2**24


def test_the_same_samples_are_made_up_each_time() -> None:
    inputs = [IDS, TEXT, Tensor("x", "FP16", (None, 2))]
    for once, again in zip(made_up(inputs, batched=True), made_up(inputs, batched=True), strict=True):
        for name, array in once[3].items():
            np.testing.assert_array_equal(array, again[3][name])


@pytest.mark.parametrize("datatype", NUMPY)
@pytest.mark.parametrize("shape", [(), ("batch",), ("batch", 3)])
def test_every_datatype_is_made_up(datatype: Any, shape: Any) -> None:
    samples = next(made_up([Tensor("x", datatype, shape)], batched=bool(shape)))
    assert len(samples) == COUNT
    for sample in samples:
        assert sample["x"].dtype == NUMPY[datatype]
        assert sample["x"].shape == tuple(1 if size == "batch" else size for size in shape)


def test_masks_are_all_ones() -> None:
    mask = Tensor("attention_mask", "INT64", ("batch", 4))
    assert next(made_up([mask], batched=True))[0]["attention_mask"].tolist() == [[1] * 4]


def test_samples_lie_along_the_first_axis(tmp_path: Path) -> None:
    path = npz(tmp_path / "s", ids=np.arange(6).reshape(3, 2), rate=np.array([7, 8, 9]), text=np.array(["a", "b", "ü"]))
    samples = read_samples(path, [IDS, RATE, TEXT])
    assert [sample["ids"].tolist() for sample in samples] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    assert [sample["rate"].shape for sample in samples] == [()] * 3
    assert [sample["text"].tolist() for sample in samples] == [["a"], ["b"], ["ü"]]


def test_samples_may_have_an_axis_more_than_the_input(tmp_path: Path) -> None:
    samples = read_samples(npz(tmp_path / "s", ids=np.arange(12).reshape(2, 3, 2)), [IDS])
    assert [sample["ids"].shape for sample in samples] == [(3, 2), (3, 2)]


def test_an_input_of_any_rank_has_the_rank_of_its_samples(tmp_path: Path) -> None:
    samples = read_samples(npz(tmp_path / "s", x=np.zeros((5, 2, 3))), [Tensor("x", "FP64", None)])
    assert [sample["x"].shape for sample in samples] == [(2, 3)] * 5


def test_a_bounded_number_of_samples_is_taken(tmp_path: Path) -> None:
    assert len(read_samples(npz(tmp_path / "s", ids=np.zeros((999, 2), np.int64)), [IDS])) == COUNT_MAX


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": np.zeros((2, 2), np.int64)}, "has no array 'rate'; the model takes ids, rate"),
        ({"ids": np.zeros((2, 2), np.int64), "rate": [1, 2], "more": [1]}, "has an array 'more'; the model takes"),
        ({"ids": np.zeros((2, 2), np.int32), "rate": [1, 2]}, "has ids as int32; the model takes INT64"),
        ({"ids": [["a"]], "rate": [1]}, "has ids as <U1; the model takes INT64"),
        ({"ids": np.zeros((2, 2), np.int64), "rate": [1, 2, 3]}, "{'ids': 2, 'rate': 3} samples; expected as many"),
        (
            {"ids": np.zeros((0, 2), np.int64), "rate": np.zeros(0, np.int64)},
            "expected as many of each input, at least",
        ),
        ({"ids": np.zeros(2, np.int64), "rate": [1, 2]}, r"shape \[2\]; expected samples of INT64 \[batch, sequence\]"),
        ({"ids": np.zeros((2, 2), np.int64), "rate": 1}, r"rate with shape \[\]; expected samples of INT64 \[\]"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        read_samples(npz(tmp_path / "s", **arrays), [IDS, RATE])


def test_a_fixed_size_is_held_to(tmp_path: Path) -> None:
    path = npz(tmp_path / "s", x=np.zeros((2, 3), np.float32))
    with pytest.raises(BuildError, match=r"has x in samples of \[1, 3\]; expected FP32 \[\?, 4\]"):
        read_samples(path, [Tensor("x", "FP32", (None, 4))])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"absent\.npz cannot be read: No such file"):
        read_samples(tmp_path / "absent.npz", [IDS])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=100) | st.binary(max_size=50).map(lambda more: b"PK\x03\x04" + more))
def test_samples_of_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.npz"
    path.write_bytes(content)
    with pytest.raises(BuildError):
        read_samples(path, [IDS])
