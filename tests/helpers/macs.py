"""How much an ONNX model computes: multiply-accumulates of its convolutions and matrix products."""

# onnx annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx

from joulebox_build.errors import BuildError

WEIGHTS = {  # where each operator has its weights, or second matrix, among its inputs
    "Conv": 1,
    "ConvInteger": 1,
    "QLinearConv": 3,
    "ConvTranspose": 1,
    "Gemm": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QLinearMatMul": 3,
}

Shapes = Mapping[str, tuple[int, ...]]


def multiply_accumulates(model: bytes) -> int:
    """Of one sample, by the shapes of the model's graph; free dimensions count as one.

    Adding a bias, activations, pooling and norms are not counted; nor is what lies in an If, Loop or Scan.

    Raises:
        BuildError: the shapes of an operator that counts cannot be inferred.
    """
    graph = _of_one_sample(model).graph
    shapes = _shapes(graph)
    return sum(_of_node(node, shapes) for node in graph.node if node.op_type in WEIGHTS)


def _of_one_sample(model: bytes) -> onnx.ModelProto:
    parsed = onnx.load_model_from_string(model)
    constants = {tensor.name for tensor in parsed.graph.initializer}
    for value in parsed.graph.input:
        for dimension in value.type.tensor_type.shape.dim if value.name not in constants else ():
            if not dimension.HasField("dim_value"):
                dimension.dim_value = 1
    parsed.graph.ClearField("value_info")  # may still name the free dimensions
    for value in parsed.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(parsed, data_prop=True)


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Of the tensors whose shape is known in full."""
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dimension.HasField("dim_value") for dimension in kind.shape.dim):
            found.setdefault(value.name, tuple(dimension.dim_value for dimension in kind.shape.dim))
    return found


def _of_node(node: Any, shapes: Shapes) -> int:
    given, weights, made = (
        _shape(node, name, shapes) for name in (node.input[0], node.input[WEIGHTS[node.op_type]], node.output[0])
    )
    if node.op_type == "ConvTranspose":  # each input element is multiplied by all weights of its channel
        return math.prod(given) * math.prod(weights[1:])
    if "Conv" in node.op_type:  # each output element by all weights of its channel
        return math.prod(made) * math.prod(weights[1:])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(made) * given[0 if transposed else -1]


def _shape(node: Any, name: str, shapes: Shapes) -> tuple[int, ...]:
    if name not in shapes:
        raise BuildError(
            f"the model's {node.op_type} {node.name or node.output[0]} has a tensor {name!r} whose shape is not known; export it with fixed shapes but for the batch"
        )
    return shapes[name]
