"""What a finished model answers, whether its first dimension is a batch, and how far a host may differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import helper

from joulebox_build.errors import BuildError
from joulebox_build.graph.onnxfile import OnnxFile, read_onnx
from joulebox_build.importing.reference import Reference, Refused, tolerance, unbatched_by_run, unbatched_by_shape

Node = tuple[str, list[str], list[str], dict[str, Any]]


def graph(models: ModuleType, folder: Path, nodes: Sequence[Node], x: Any = ("N", 4), y: Any = ("N", 4)) -> OnnxFile:
    """A model from `x` FP32 to `y` FP32."""
    made = models.model(
        [helper.make_node(kind, takes, gives, **attributes) for kind, takes, gives, attributes in nodes],
        [models.tensor("x", "FP32", x)],
        [models.tensor("y", "FP32", y)],
        {"w": np.ones((1, 4, 4), np.float32), "last": np.array([-1]), "rows": np.array([2, 2])},
    )
    path = folder / "made.onnx"
    path.write_bytes(made.SerializeToString())
    return read_onnx(path)


def rows(count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    return [{"x": random.normal(size=(1, 4)).astype(np.float32)} for _ in range(count)]


SOFTMAX: list[Node] = [("Softmax", ["x"], ["y"], {"axis": 1})]
ACROSS: dict[str, list[Node]] = {
    "softmax over the batch": [("Softmax", ["x"], ["y"], {"axis": 0})],
    "mean of the batch": [
        ("ReduceMean", ["x"], ["mean"], {"axes": [0], "keepdims": 1}),
        ("Sub", ["x", "mean"], ["y"], {}),
    ],
    "steps of a recurrent net": [("CumSum", ["x", "zero"], ["y"], {})],
}


def test_a_batch_is_proved_by_running_two_samples_at_once(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = graph(onnx_models, tmp_path, SOFTMAX)
    assert unbatched_by_shape(file) is None
    assert unbatched_by_run(Reference(file), rows(3), "fp32") is None
    assert unbatched_by_run(Reference(file), rows(1), "fp32") is None


@pytest.mark.parametrize("kind", ACROSS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_model_that_mixes_samples_is_not_batched(
    onnx_models: ModuleType, tmp_path: Path, kind: str, count: int
) -> None:
    zero: list[Node] = [("Constant", [], ["zero"], {"value_int": 0})]
    file = graph(onnx_models, tmp_path, [*zero, *ACROSS[kind]])
    assert unbatched_by_shape(file) is None
    said = unbatched_by_run(Reference(file), rows(count), "fp32")
    assert said == "output y of two samples in one batch is not that of each by itself"


def test_a_model_that_takes_no_two_samples_is_not_batched(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = graph(onnx_models, tmp_path, [("Reshape", ["x", "rows"], ["z"], {}), ("Relu", ["z"], ["y"], {})], y=None)
    said = unbatched_by_run(Reference(file), rows(2), "fp32")
    assert said is not None
    assert said.startswith("two samples in one batch are refused")


def test_an_output_that_has_no_batch_is_not_batched(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = graph(onnx_models, tmp_path, [("ReduceSum", ["x"], ["y"], {"keepdims": 0})], y=None)
    said = unbatched_by_run(Reference(file), rows(2), "fp32")
    assert said == "output y has shape [] for one sample, expected a batch of one"


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ((1, 4), ("N", 4), "input x is FP32 [1, 4], whose first dimension is not free"),
        (("N", 4), (1, 4), "output y is FP32 [1, 4], whose first dimension is not free"),
        (("N", 4), ("M", 4), None),
    ],
)
def test_declared_shapes_may_speak_against_a_batch(
    onnx_models: ModuleType, tmp_path: Path, x: Any, y: Any, said: str | None
) -> None:
    assert unbatched_by_shape(graph(onnx_models, tmp_path, SOFTMAX, x, y)) == said


def test_inputs_whose_first_dimensions_have_several_names_are_not_batched_unasked(
    onnx_models: ModuleType, tmp_path: Path
) -> None:
    made = onnx_models.model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [onnx_models.tensor("a", "FP32", ["N"]), onnx_models.tensor("b", "FP32", ["M"])],
        [onnx_models.tensor("y", "FP32", ["N"])],
    )
    file = read_onnx(onnx_models.save(tmp_path / "made.onnx", made))
    assert unbatched_by_shape(file) == "the first dimensions of the inputs have several names: M, N"
    assert unbatched_by_shape(file, named=False) is None


def test_a_model_that_draws_random_numbers_is_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = graph(onnx_models, tmp_path, [("RandomNormalLike", ["x"], ["y"], {})])
    with pytest.raises(BuildError, match="the model is not deterministic: output 'y' differs") as caught:
        Reference(file).answers(rows(1))
    assert caught.value.exit_code == 2


def test_an_input_that_the_model_does_not_take_is_refused_in_one_line(onnx_models: ModuleType, tmp_path: Path) -> None:
    reference = Reference(read_onnx(onnx_models.tokens(tmp_path)))
    ids = np.full((1, 3), 99)
    with pytest.raises(Refused, match="indices element out of data bounds"):
        reference.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})


def test_what_onnxruntime_cannot_open_is_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    node = helper.make_node("Unheard", ["x"], ["y"], domain="nowhere")
    tensors = [onnx_models.tensor("x", "FP32", [1])], [onnx_models.tensor("y", "FP32", [1])]
    made = onnx_models.model([node], *tensors, opsets={"": 17, "nowhere": 1})
    with pytest.raises(BuildError, match=r"cannot run it: .*nowhere"):
        Reference(read_onnx(onnx_models.save(tmp_path / "made.onnx", made)))


def test_not_a_number_is_the_same_each_time(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = graph(onnx_models, tmp_path, [("Log", ["x"], ["y"], {})])
    (answer,) = Reference(file).answers([{"x": np.array([[-1, 0, 1, 2]], np.float32)}])
    assert np.isnan(answer["y"][0, 0])
    assert np.isneginf(answer["y"][0, 1])
    assert tolerance("fp32", [answer], [answer]) == pytest.approx(0.693 * 1e-4, rel=0.02)


def test_the_tolerance_follows_what_was_seen_and_the_outputs_size() -> None:
    expected, actual = {"y": np.array([100, 0], np.float32)}, {"y": np.array([100, 0.5], np.float32)}
    assert tolerance("fp32", [expected], [expected]) == 0.01
    assert tolerance("fp32", [expected], [actual]) == 2.0
    assert tolerance("int8", [expected], [expected]) == 2.0
    with pytest.raises(BuildError, match="optimisations change the answers by 50, where the largest is 100"):
        tolerance("int8", [expected], [{"y": np.array([50, 0], np.float32)}])
    assert tolerance("fp32", [{"y": np.array(["text"], object)}], [{"y": np.array(["text"], object)}]) > 0
