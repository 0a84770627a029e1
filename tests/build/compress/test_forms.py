"""Small weights and half precision: the same answers, nearly, from the same inputs and outputs."""

import logging

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from joulebox_build.compress.halves import in_fp16
from joulebox_build.compress.weights import with_small_weights
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.export import export
from joulebox_build.graph.inference import outputs
from joulebox_build.graph.memory import memory

GIVEN = ModelInput("input", "FP32", (64,), np.asarray)


@pytest.fixture(scope="module")
def exported() -> bytes:
    torch.manual_seed(0)
    return export(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 5, bias=False)), GIVEN)


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)


def values(model: bytes) -> list[tuple[str, int]]:
    graph = onnx.load_model_from_string(model).graph
    return [(value.name, value.type.tensor_type.elem_type) for value in (*graph.input, *graph.output)]


@pytest.mark.parametrize(("bits", "error", "size"), [(8, 0.01, 0.4), (4, 0.15, 0.3)])
def test_matrices_in_few_bits_answer_nearly_the_same_and_are_smaller(
    exported: bytes, inputs: np.ndarray, bits: int, error: float, size: float
) -> None:
    handlers = list(logging.root.handlers)
    small = with_small_weights(exported, bits)
    assert logging.root.handlers == handlers
    reference = outputs(exported, inputs)
    assert 0 < np.abs(outputs(small, inputs) - reference).max() < error * np.abs(reference).max()
    assert len(small) < size * len(exported)
    assert values(small) == values(exported)
    assert with_small_weights(exported, bits) == small


def test_a_model_without_matrices_has_no_small_weights() -> None:
    convolution = export(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), ModelInput("x", "FP32", (1, 4, 4), np.asarray)
    )
    with pytest.raises(RecipeError, match="cpu-weights-int4 is for models with matrices"):
        with_small_weights(convolution, 4)


def test_halves_keep_inputs_and_outputs_and_answer_nearly_the_same(exported: bytes, inputs: np.ndarray) -> None:
    half = in_fp16(exported)
    reference = outputs(exported, inputs)
    assert 0 < np.abs(outputs(half, inputs) - reference).max() < 0.005 * np.abs(reference).max()
    assert values(half) == values(exported)
    types = {tensor.data_type for tensor in onnx.load_model_from_string(half).graph.initializer}
    assert types == {onnx.TensorProto.FLOAT16}
    assert len(half) < 0.6 * len(exported)
    onnx.checker.check_model(onnx.load_model_from_string(half))  # each node after those whose results it reads
    assert memory([half], inputs[:1]).weight_bytes < 0.6 * memory([exported], inputs[:1]).weight_bytes
