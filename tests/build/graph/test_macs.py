"""Multiply-accumulates of ONNX models are those that one counts by hand, and torch's for the network they came from."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch_pruning
from torch import nn

from int8 import quantize
from joulebox_build.compress.channels import multiply_accumulates as of_network
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import BuildError
from joulebox_build.graph.export import export
from macs import multiply_accumulates

GIVEN = ModelInput("image", "FP32", (2, 8, 8), np.asarray)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),  # 8 x 8 x 6 elements of 2 x 9 products
        nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=3, bias=False),  # 4 x 4 x 6 of 2 x 9
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),  # 4 x 4 x 6 of 9
        nn.ConvTranspose2d(6, 4, 2, stride=2, bias=False),  # 4 x 4 x 6 elements of its input, by 4 x 4
        nn.Flatten(),
        nn.Linear(256, 10, bias=False),
    )


BY_HAND = 64 * 6 * 18 + 16 * 6 * 18 + 16 * 6 * 9 + 16 * 6 * 16 + 2560


@pytest.fixture(scope="module")
def exported() -> bytes:
    return export(network(), GIVEN)


def test_they_are_those_counted_by_hand(exported: bytes) -> None:
    assert multiply_accumulates(exported) == BY_HAND


def test_torch_counts_as_many(exported: bytes) -> None:
    assert of_network(network(), GIVEN)[""] == multiply_accumulates(exported)


def test_torch_pruning_counts_as_many_where_only_products_are_to_be_counted() -> None:
    plain = nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False),
        nn.Conv2d(6, 4, 3, groups=2, bias=False),
        nn.Flatten(),
        nn.Linear(64, 3, bias=False),
    )
    counted, _ = torch_pruning.utils.count_ops_and_params(plain, torch.zeros(1, *GIVEN.shape))
    assert multiply_accumulates(export(plain, GIVEN)) == counted


def test_a_quantized_model_computes_as_much(exported: bytes) -> None:
    samples = np.random.default_rng(0).normal(size=(8, *GIVEN.shape)).astype(np.float32)
    assert multiply_accumulates(quantize(exported, samples)) == BY_HAND


def graph_of(node: Any, shapes: dict[str, list[Any]]) -> bytes:
    values = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()
    }
    graph = onnx.helper.make_graph([node], "any", [values[name] for name in node.input], [values[node.output[0]]])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]).SerializeToString()


@pytest.mark.parametrize(
    ("operator", "first", "second", "attributes", "expected"),
    [
        ("MatMul", ["batch", 5, 7], [7, 3], {}, 5 * 7 * 3),
        ("MatMul", ["batch", 4, 5, 7], ["batch", 4, 7, 3], {}, 4 * 5 * 7 * 3),
        ("Gemm", [5, 7], [7, 3], {}, 5 * 7 * 3),
        ("Gemm", [7, 5], [3, 7], {"transA": 1, "transB": 1}, 5 * 7 * 3),
    ],
)
def test_matrix_products(
    operator: str, first: list[Any], second: list[Any], attributes: dict[str, int], expected: int
) -> None:
    node = onnx.helper.make_node(operator, ["a", "b"], ["c"], **attributes)
    assert multiply_accumulates(graph_of(node, {"a": first, "b": second, "c": ["x"] * 2})) == expected


def test_a_shape_that_is_not_known_is_said() -> None:
    node = onnx.helper.make_node("MatMul", ["a", "b"], ["c"])
    model = onnx.load_model_from_string(graph_of(node, {"a": [1, 7], "b": [7, 3], "c": [1, 3]}))
    model.graph.node.insert(0, onnx.helper.make_node("Unheard", ["a"], ["inner"], domain="com.example"))
    model.graph.node[1].input[0] = "inner"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    with pytest.raises(BuildError, match="MatMul c has a tensor 'inner' whose shape is not known"):
        multiply_accumulates(model.SerializeToString())
