"""Running ONNX models on the build host as a device does: ONNX Runtime's CPU provider, images normalised the same way."""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from joulebox.package.manifest import ImagePreprocess
from joulebox_build.graph.canonical import INPUT, OUTPUT

PROVIDER = "CPUExecutionProvider"
BATCH = 500


def session(model: bytes, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """The model, ready to run; 0 threads means one for each core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: warnings here are about our exporter's graphs
    return onnxruntime.InferenceSession(model, options, providers=[PROVIDER])


def normalized(images: NDArray[np.uint8], preprocess: ImagePreprocess) -> NDArray[np.float32]:
    """From uint8 to float32 `[N, C, H, W]`, as the manifest tells the device."""
    scale, offset = (values[:, None, None] for values in preprocess.affine())
    return images * scale + offset


def outputs(model: bytes, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The model's logits float32 `[N, classes]`."""
    ready = session(model)
    return np.concatenate([run(ready, inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)])


def run(ready: onnxruntime.InferenceSession, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(ready.run([OUTPUT], {INPUT: inputs})[0], np.float32)
