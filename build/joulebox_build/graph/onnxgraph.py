"""Walking an ONNX model, and what its operators and weights say of it."""

# onnx annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import onnx

Precision = Literal["fp64", "fp32", "fp16", "bf16", "int8", "mixed"]
PRECISIONS: dict[int, Precision] = {
    onnx.TensorProto.DOUBLE: "fp64",
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.BFLOAT16: "bf16",
}
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "QGemm", "QAttention", "MatMulInteger", "ConvInteger")
RANDOM = ("RandomNormal", "RandomUniform", "Multinomial", "Bernoulli")


def graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """The graph itself first, then the model's functions, and the graphs in the attributes of their nodes, near or far."""
    ahead: list[Any] = [*model.functions, model.graph]
    while ahead:
        graph = ahead.pop()
        yield graph
        for attribute in _attributes(graph):
            ahead += [attribute.g] if attribute.HasField("g") else []
            ahead += attribute.graphs


def _attributes(graph: Any) -> Iterator[Any]:
    return (attribute for node in graph.node for attribute in node.attribute)


def nodes(model: onnx.ModelProto) -> Iterator[Any]:
    return (node for graph in graphs(model) for node in graph.node)


def constants(model: onnx.ModelProto) -> Iterator[Any]:
    yield from model.graph.initializer
    yield from inner_constants(model)


def inner_constants(model: onnx.ModelProto) -> Iterator[Any]:
    """Those that are no initializers of the graph itself."""
    for place, graph in enumerate(graphs(model)):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer if place else ()
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        for attribute in _attributes(graph):
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from attribute.tensors


def random_operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """Those that draw random numbers."""
    off = {name for name, tensor in _named(model) if _is_false(tensor)}
    return tuple(sorted({node.op_type for node in nodes(model) if _is_random(node, off)}))


def _is_random(node: Any, off: set[str]) -> bool:
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:  # its third input says whether it trains
        return node.input[2] not in off
    return node.op_type.startswith(RANDOM)


def _named(model: onnx.ModelProto) -> Iterator[tuple[str, Any]]:
    yield from ((tensor.name, tensor) for tensor in model.graph.initializer)
    for node in nodes(model):
        if node.op_type == "Constant":
            yield from ((node.output[0], attribute.t) for attribute in node.attribute if attribute.HasField("t"))


def _is_false(tensor: Any) -> bool:
    if tensor.data_type != tensor.BOOL or tensor.data_location == tensor.EXTERNAL:
        return False
    return not onnx.numpy_helper.to_array(tensor).any()


def precision(model: onnx.ModelProto) -> Precision:
    """By the operators where the model is quantized, else by the types of its floating-point weights."""
    if any(node.op_type.startswith(QUANTIZED) for node in nodes(model)):
        return "int8"
    weights = (tensor for tensor in constants(model) if math.prod(tensor.dims) > 1)
    found: set[Precision] = {PRECISIONS[tensor.data_type] for tensor in weights if tensor.data_type in PRECISIONS}
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "fp32"
