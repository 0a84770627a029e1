"""NVIDIA's Triton through pytriton: binary tensors over HTTP, dynamic batches of at most 32.

Run as `python pytriton_peer.py MODEL.onnx NAME PORT`.
"""

import sys

import numpy as np
import onnxruntime as ort
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MODEL, NAME, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
INPUT, OUTPUT = session.get_inputs()[0], session.get_outputs()[0]


@batch
def infer(**inputs):
    return session.run(None, inputs)


if __name__ == "__main__":
    config = TritonConfig(
        http_address="127.0.0.1", http_port=PORT, allow_grpc=False, allow_metrics=False, exit_timeout_secs=3
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name=NAME,
            infer_func=infer,
            inputs=[Tensor(name=INPUT.name, dtype=np.float32, shape=tuple(INPUT.shape[1:]))],
            outputs=[Tensor(name=OUTPUT.name, dtype=np.float32, shape=tuple(OUTPUT.shape[1:]))],
            config=ModelConfig(max_batch_size=32),
            strict=False,
        )
        triton.serve()
