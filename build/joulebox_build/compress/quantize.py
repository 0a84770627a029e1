"""Static int8 quantization with explicit Q/DQ nodes, in the form that CPUs run fastest.

Unsigned activations and signed per-channel weights: with signed activations x86 needs twice the time.
"""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from joulebox_build.graph.canonical import canonical_bytes
from joulebox_build.graph.export import quiet

BATCH = 100


class _Samples(CalibrationDataReader):
    """Hands the calibration samples out in batches."""

    def __init__(self, name: str, samples: NDArray[Any]) -> None:
        self._name = name
        self._batches: Iterator[NDArray[Any]] = iter(
            samples[start : start + BATCH] for start in range(0, len(samples), BATCH)
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:  # pyright: ignore[reportIncompatibleMethodOverride]  # their stub says dict, and None ends it
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantize(model: bytes, samples: NDArray[Any]) -> bytes:
    """The fp32 ONNX model in int8.

    Args:
        samples: encoded inputs `[N, ...]` whose activations set the ranges; of the training data.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        given, prepared, made = (Path(folder) / name for name in ("fp32.onnx", "prepared.onnx", "int8.onnx"))
        given.write_bytes(model)
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(made),
            _Samples(onnx.load_from_string(model).graph.input[0].name, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return canonical_bytes(onnx.load(made))
