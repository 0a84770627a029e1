"""Bias correction: rounding weights shifts a layer's mean output; its bias takes the shift back.

Nagel et al. 2019, arXiv:1906.04721, section 4.2, with means of calibration data. It matters most where a channel has few
weights, as in depthwise convolutions.
"""

# onnx annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs
from joulebox_build.graph.inference import batch_of, session

LEVELS = 127  # int8 on each side of zero, a scale for each channel: as ONNX Runtime quantizes weights


def corrected(
    prepared: bytes, samples: Inputs, encode: Callable[[Inputs], NDArray[Any]], *, floats: Collection[str] = ()
) -> bytes:
    """The prepared model with the biases that int8 weights need.

    Args:
        samples: training samples `[N, ...]` whose activations are averaged.
        floats: the names of nodes that stay in float, and so need none.
    """
    model = onnx.load_model_from_string(prepared)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    layers = [
        node
        for node in model.graph.node
        if node.op_type in {"Conv", "Gemm"}
        and len(node.input) == 3
        and tensors.keys() >= set(node.input[1:])
        and node.name not in floats
    ]
    means = _means(prepared, sorted({node.input[0] for node in layers}), samples, encode)
    for node in layers:
        weights, bias = (onnx.numpy_helper.to_array(tensors[name]) for name in node.input[1:])
        shift = _shift(weights.T if _gemm_as_stored(node) else weights, means[node.input[0]])
        tensors[node.input[2]].CopyFrom(onnx.numpy_helper.from_array((bias - shift).astype(np.float32), node.input[2]))
    return model.SerializeToString()


def _gemm_as_stored(node: Any) -> bool:
    """Whether its weights are `[inputs, outputs]`."""
    return node.op_type == "Gemm" and not any(field.name == "transB" and field.i for field in node.attribute)


def _shift(weights: NDArray[np.float32], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each output's mean: weights `[outputs, inputs of a group, ...]`, means `[inputs]`. Padding is taken for more of the same."""
    error = (_rounded(weights) - weights).reshape(*weights.shape[:2], -1).sum(2).astype(np.float64)
    outputs, width = error.shape
    groups = len(means) // width
    each = means.reshape(groups, 1, width) * error.reshape(groups, outputs // groups, width)
    return each.sum(2).reshape(outputs)


def _rounded(weights: NDArray[np.float32]) -> NDArray[Any]:
    largest = np.abs(weights).reshape(len(weights), -1).max(1).reshape(-1, *[1] * (weights.ndim - 1))
    scale = np.where(largest > 0, largest, 1) / LEVELS
    return np.round(weights / scale) * scale


def _means(
    prepared: bytes, names: list[str], samples: Inputs, encode: Callable[[Inputs], NDArray[Any]]
) -> dict[str, NDArray[np.float64]]:
    """Of each channel of those tensors `[N, channels, ...]`, over samples and places."""
    watched = onnx.load_model_from_string(prepared)
    given = watched.graph.input[0].name
    inner = [name for name in names if name != given]
    wanted = [watched.graph.output[0].name, *inner]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    ready, sums = session(watched.SerializeToString()), dict[str, Any]()
    size = batch_of(samples)
    for start in range(0, len(samples), size):
        batch = encode(samples[start : start + size])
        found = [np.asarray(tensor) for tensor in ready.run(wanted, {given: batch})[1:]]
        for name, tensor in [*zip(inner, found, strict=True), (given, batch)]:
            sums[name] = sums.get(name, 0) + tensor.reshape(*tensor.shape[:2], -1).mean(2, dtype=np.float64).sum(0)
    return {name: total / len(samples) for name, total in sums.items()}
