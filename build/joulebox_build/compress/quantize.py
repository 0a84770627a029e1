"""Static int8 quantization with explicit Q/DQ nodes: a CPU's form and TensorRT's, from one calibration.

CPUs: unsigned activations and signed per-channel weights; with signed activations x86 needs twice the time.
TensorRT: all signed, every zero point 0, biases in float, and a Q/DQ pair for each input of each layer.
"""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from joulebox_build.compress.calibrate import Ranges
from joulebox_build.graph.canonical import canonical_bytes
from joulebox_build.graph.export import quiet
from joulebox_build.graph.layers import named

Form = Literal["cpu", "tensorrt"]

ACTIVATIONS = {"cpu": QuantType.QUInt8, "tensorrt": QuantType.QInt8}
OPTIONS: dict[Form, dict[str, Any]] = {
    "cpu": {},
    "tensorrt": {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "DedicatedQDQPair": True,
        "AddQDQPairToWeight": True,
        "OpTypesToExcludeOutputQuantization": ["Conv", "ConvTranspose", "Gemm", "MatMul"],  # fused with what follows
    },
}


def prepare(model: bytes, layers: Sequence[str] | None = None) -> bytes:
    """The fp32 model as it is calibrated and quantized: batch norms folded, shapes known, nodes named.

    Args:
        layers: a name for each of its nodes; by default what the model itself says.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        given, prepared = Path(folder) / "given.onnx", Path(folder) / "prepared.onnx"
        onnx.save(named(onnx.load_model_from_string(model), layers), given)
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        return prepared.read_bytes()


def write(
    prepared: bytes,
    ranges: Ranges,
    form: Form = "cpu",
    *,
    only: Sequence[str] = (),
    floats: Sequence[str] = (),
) -> bytes:
    """The prepared model in int8.

    Args:
        only: the names of nodes to quantize; all where it is empty.
        floats: the names of nodes to leave as they are.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        given, known, made = (Path(folder) / name for name in ("prepared.onnx", "ranges.json", "int8.onnx"))
        given.write_bytes(prepared)
        save_tensors_data(_as_tensors_data(ranges), known)
        quantize_static(
            str(given),
            str(made),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=ACTIVATIONS[form],
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(only),
            nodes_to_exclude=list(floats),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=OPTIONS[form],
            calibration_cache_path=known,
        )
        return canonical_bytes(_with_float_outputs(onnx.load(made)))


def _as_tensors_data(ranges: Ranges) -> TensorsData:
    """As ONNX Runtime keeps them; `MinMax` says that a range is all that is known, whatever gave it."""
    pairs = {name: (np.asarray(low, np.float32), np.asarray(high, np.float32)) for name, (low, high) in ranges.items()}
    return TensorsData(CalibrationMethod.MinMax, dict(pairs))


def _with_float_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the Q/DQ pair in front of an output: 256 steps are too few for confidence, and it saves nothing there."""
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        after = made_by[output.name]
        before = made_by.get(after.input[0]) if after.op_type == "DequantizeLinear" else None
        if before is None or before.op_type != "QuantizeLinear" or before.input[0] not in made_by:
            continue
        if sum(after.input[0] in node.input for node in graph.node) > 1:
            continue
        exact = before.input[0]
        graph.node.remove(before)
        graph.node.remove(after)
        for node in graph.node:
            node.input[:] = [output.name if name == exact else name for name in node.input]
            node.output[:] = [output.name if name == exact else name for name in node.output]
    return model
