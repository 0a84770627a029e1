"""Running ONNX models on the build host as a device does: ONNX Runtime's CPU provider."""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from joulebox_build.progress import Progress

PROVIDER = "CPUExecutionProvider"
BATCH = 500  # samples at a time, fewer where they are large: that bounds memory
BATCH_VALUES = 2**21  # of the samples of a batch together; what a network makes of them is many times that


def batch_of(samples: NDArray[Any]) -> int:
    """How many of the samples to run at once."""
    return max(1, min(BATCH, BATCH_VALUES // max(1, samples[:1].size)))


def session(model: bytes, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """The model, ready to run; 0 threads means one for each core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: warnings here are about our exporter's graphs
    return onnxruntime.InferenceSession(model, options, providers=[PROVIDER])


def outputs(model: bytes, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """The logits float32 `[N, classes]` of a model with one input and one output."""
    ready = session(model)
    size = batch_of(inputs)
    return np.concatenate([run(ready, inputs[start : start + size]) for start in range(0, len(inputs), size)])


def mean_outputs(
    models: Sequence[bytes], encode: Callable[[Any], NDArray[Any]], inputs: NDArray[Any], progress: Progress
) -> NDArray[np.float32]:
    """The mean of the models' logits for samples that are encoded a batch at a time, which bounds memory."""
    ready = [session(model) for model in models]
    found: list[NDArray[np.float32]] = []
    size = batch_of(inputs)
    for start in range(0, len(inputs), size):
        batch = encode(inputs[start : start + size])
        found.append(np.mean([run(one, batch) for one in ready], axis=0))
        progress.advance(len(batch) / len(inputs))
    return np.concatenate(found)


def run(ready: onnxruntime.InferenceSession, inputs: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(ready.run(None, {ready.get_inputs()[0].name: inputs})[0], np.float32)
