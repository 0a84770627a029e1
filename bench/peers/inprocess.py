"""ONNX Runtime alone, without a server: the limit for one thread on this machine.

Run as `python inprocess.py MODEL.onnx SECONDS`; it prints inferences, seconds, p50 and p99 in milliseconds and CPU
seconds as JSON.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
tensor = session.get_inputs()[0]
inputs = {tensor.name: np.random.default_rng(0).normal(size=(1, *tensor.shape[1:])).astype(np.float32)}
for _ in range(10):
    session.run(None, inputs)
took_s, start_s, cpu_s = [], time.perf_counter(), time.process_time()
before_s = start_s
while before_s - start_s < float(sys.argv[2]):
    session.run(None, inputs)
    now_s = time.perf_counter()
    took_s.append(now_s - before_s)
    before_s = now_s
p50_ms, p99_ms = 1e3 * np.percentile(took_s, [50, 99])
figures = {"requests": len(took_s), "seconds": before_s - start_s, "p50_ms": p50_ms, "p99_ms": p99_ms, "errors": 0}
print(json.dumps({**figures, "cpu_s": time.process_time() - cpu_s}))
