"""Weights alone in int8 or int4, blocks of 32 with a scale each; activations and arithmetic stay in float.

For models of large matrices, whose time goes by into reading them; ONNX Runtime's `MatMulNBits` unpacks them as it
multiplies. Convolutions and embeddings stay as they are.
"""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import logging
from typing import Any, Literal

import onnx

from joulebox_build.errors import RecipeError
from joulebox_build.graph.canonical import canonical_bytes
from joulebox_build.graph.export import quiet

BLOCK = 32
PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0}


def with_small_weights(fp32: bytes, bits: Literal[4, 8]) -> bytes:
    """The model with its matrices in so many bits.

    Raises:
        RecipeError: it has none.
    """
    model = onnx.load_model_from_string(fp32)
    _as_products(model)
    handlers = list(logging.root.handlers)
    with quiet():
        from onnxruntime.quantization import matmul_nbits_quantizer as quantizer  # noqa: PLC0415  # it sets up logging

        settings = quantizer.DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, bits=bits)
        worker: Any = quantizer.MatMulNBitsQuantizer(model, algo_config=settings)
        worker.process()
    logging.root.handlers[:] = handlers
    made: Any = worker.model.model
    if not any(node.op_type == "MatMulNBits" for node in made.graph.node):
        raise RecipeError(
            f"variants: cpu-weights-int{bits} is for models with matrices, and this one has none; leave it out"
        )
    return canonical_bytes(made)


def _as_products(model: onnx.ModelProto) -> None:
    """Changes each plain Gemm with constant weights to a MatMul and an Add, which is what the quantizer takes."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        found = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        plain = all(found.get(name, value) == value for name, value in PLAIN.items())
        if node.op_type != "Gemm" or not plain or node.input[1] not in constants:
            nodes.append(node)
            continue
        weights = onnx.numpy_helper.to_array(constants[node.input[1]])
        name, output = f"{node.input[1]}_for_{node.output[0]}", node.output[0]
        graph.initializer.append(onnx.numpy_helper.from_array(weights.T if found.get("transB") else weights, name))
        product = output if len(node.input) < 3 else f"{output}_product"
        nodes.append(onnx.helper.make_node("MatMul", [node.input[0], name], [product]))
        nodes += [onnx.helper.make_node("Add", [product, node.input[2]], [output])] if len(node.input) > 2 else []
    graph.ClearField("node")
    graph.node.extend(nodes)
