"""What is sent fits what the model takes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.bench.errors import UsageError
from joulebox.bench.inputs import BYTES_MAX, FREE, batches, load_file, parse_shape, random_requests
from joulebox.engine.datatypes import NUMPY
from joulebox.package import TensorSpec
from joulebox.package.manifest import Datatype

IMAGE = TensorSpec(name="image", datatype="FP32", shape=[-1, 1, 2, 2])
IDS = TensorSpec(name="ids", datatype="INT64", shape=[-1, -1])
SPECS = st.builds(
    TensorSpec,
    name=st.just("x"),
    datatype=st.sampled_from(get_args(Datatype)),
    shape=st.lists(st.integers(-1, 5).filter(bool), max_size=3),
)


@settings(deadline=None)
@given(SPECS, st.integers(0, 5))
def test_random_tensors_have_datatype_and_shape(spec: TensorSpec, seed: int) -> None:
    for request in random_requests([spec], 1, {}, seed):
        array = request["x"]
        assert array.dtype == NUMPY[spec.datatype]
        assert [want if want != -1 else (1 if place == 0 else FREE) for place, want in enumerate(spec.shape)] == list(
            array.shape
        )


def test_random_requests_differ_and_a_seed_gives_the_same_again() -> None:
    first, again = (random_requests([IMAGE], 2, {}, 3) for _ in range(2))
    assert first[0]["image"].shape == (2, 1, 2, 2)
    assert not np.array_equal(first[0]["image"], first[1]["image"])
    assert all(np.array_equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))


def test_a_shape_can_be_given() -> None:
    (first, *_) = random_requests([IDS], 1, {"ids": [3, 12]}, 0)
    assert first["ids"].shape == (3, 12)
    assert 0 <= first["ids"].min() <= first["ids"].max() < 10


def test_what_is_kept_is_bounded() -> None:
    big = TensorSpec(name="big", datatype="FP32", shape=[-1, 3, 1000, 1000])
    requests = random_requests([big], 1, {}, 0)
    assert sum(request["big"].nbytes for request in requests) <= BYTES_MAX


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"image": [1, 1, 2, 3]}, "--shape image:1,1,2,3: expected -1,1,2,2"),
        ({"image": [4]}, "expected -1,1,2,2"),
        ({"picture": [4]}, "no such input; the model takes image"),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_refused(shapes: dict[str, list[int]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        random_requests([IMAGE], 1, shapes, 0)


@pytest.mark.parametrize("text", ["image", ":1", "image:", "image:a", "image:0,1", "image:-1,2", "image:1,,2"])
def test_a_shape_that_is_not_written_as_one_is_refused(text: str) -> None:
    if text == "image:":
        assert parse_shape(text) == ("image", []), "the shape of a scalar"
        return
    with pytest.raises(UsageError, match="expected NAME:SIZE"):
        parse_shape(text)


def test_a_batch_needs_a_free_first_dimension() -> None:
    with pytest.raises(UsageError, match="--batch 4: input 'x' has the fixed shape"):
        random_requests([TensorSpec(name="x", datatype="FP32", shape=[1, 3])], 4, {}, 0)


def test_samples_are_cut_into_batches_in_turn() -> None:
    samples = np.arange(3, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 2, 2), np.float32)
    requests = batches([IMAGE], {"image": samples}, 2)
    assert [request["image"][:, 0, 0, 0].tolist() for request in requests] == [[0, 1], [2, 0], [1, 2]]


def test_samples_of_a_model_without_batches_have_a_dimension_more() -> None:
    spec = TensorSpec(name="x", datatype="FP32", shape=[3])
    requests = batches([spec], {"x": np.eye(3, dtype=np.float32)}, 1)
    assert [request["x"].tolist() for request in requests] == np.eye(3).tolist()
    with pytest.raises(UsageError, match="input 'x' takes 3"):
        batches([spec], {"x": np.eye(3, dtype=np.float32)}, 2)
    scalar = TensorSpec(name="s", datatype="FP32", shape=[])
    assert batches([scalar], {"s": np.float32([1, 2])}, 1)[1]["s"].shape == ()


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({}, "has no samples"),
        ({"image": np.float32(1)}, "has no samples"),
        ({"image": np.zeros((0, 1, 2, 2), np.float32)}, "has no samples"),
        ({"image": np.zeros((3, 1, 2, 3), np.float32)}, "takes -1,1,2,2"),
        ({"image": np.full((3, 1, 2, 2), "a")}, "expected FP32"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        batches([IMAGE], samples, 1)


def test_a_file_of_samples_may_name_arrays_as_inputs_or_as_goldens_do(tmp_path: Path) -> None:
    for name in ("image", "input.image"):
        file = tmp_path / "samples.npz"
        np.savez(file, **{name: np.zeros((3, 1, 2, 2), np.float32)})
        assert load_file(file, [IMAGE])["image"].shape == (3, 1, 2, 2)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    with pytest.raises(UsageError, match="No such file"):
        load_file(file, [IMAGE])
    for content in (b"", b"hello", b"PK\x03\x04broken"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"expected an npz file"):
            load_file(file, [IMAGE])
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    file.write_bytes(buffer.getvalue())
    with pytest.raises(UsageError, match=r"expected an npz file"):
        load_file(file, [IMAGE])
    np.savez(file, other=np.zeros(3))
    with pytest.raises(UsageError, match="has no array 'image'; it has other"):
        load_file(file, [IMAGE])
