"""Calibration: between which values each tensor of a model lies, by ONNX Runtime's own calibrators.

The ranges are computed once; every quantized form of a model is written from the same.
"""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import (
    CalibraterBase,
    CalibrationDataReader,
    EntropyCalibrater,
    MinMaxCalibrater,
    PercentileCalibrater,
)

from joulebox_build.data.dataset import Inputs
from joulebox_build.graph.export import quiet
from joulebox_build.graph.inference import batch_of
from joulebox_build.recipe.quantization import Calibrator

BATCH = 50  # samples whose activations are in memory at a time, whatever the calibrator
ENTROPY_BINS = 512  # to begin with, of which it merges 128: more take minutes and gave no better ranges
PERCENTILE_BINS = 2048

Ranges = dict[str, tuple[float, float]]
"""Tensor name to its least and greatest value, in the model that was calibrated."""


class _OneBatch(CalibrationDataReader):
    """Hands out one batch, so that a calibrator has to hold no more."""

    def __init__(self, name: str, batch: NDArray[Any]) -> None:
        self._left: Iterator[dict[str, NDArray[Any]]] = iter([{name: batch}])

    def get_next(self) -> dict[str, NDArray[Any]] | None:  # pyright: ignore[reportIncompatibleMethodOverride]  # their stub says dict, and None ends it
        return next(self._left, None)


def calibrate(
    model: bytes,
    samples: Inputs,
    encode: Callable[[Inputs], NDArray[Any]],
    calibrator: Calibrator,
    *,
    percentile: float = 99.99,
) -> Ranges:
    """The ranges of the model's tensors over the samples `[N, ...]`, which are of the training data."""
    name = onnx.load_model_from_string(model).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder, quiet():
        given, watched = Path(folder) / "model.onnx", str(Path(folder) / "watched.onnx")
        given.write_bytes(model)
        watch = _open(calibrator, given, watched, percentile)
        watch.augment_graph()
        watch.create_inference_session()
        size = min(BATCH, batch_of(samples))
        for start in range(0, len(samples), size):
            watch.collect_data(_OneBatch(name, encode(samples[start : start + size])))
        found = watch.compute_data()
    ranges = {tensor: data.range_value for tensor, data in found.items()}
    return {tensor: (np.asarray(low).item(), np.asarray(high).item()) for tensor, (low, high) in sorted(ranges.items())}


def _open(calibrator: Calibrator, model: Path, watched: str, percentile: float) -> CalibraterBase:
    if calibrator == "min-max":
        return MinMaxCalibrater(model, augmented_model_path=watched)
    if calibrator == "entropy":
        return EntropyCalibrater(model, augmented_model_path=watched, num_bins=ENTROPY_BINS)
    return PercentileCalibrater(model, augmented_model_path=watched, num_bins=PERCENTILE_BINS, percentile=percentile)
