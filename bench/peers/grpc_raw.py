"""The limits for a Python gRPC server: a bare `grpc.aio` one that sends each request's bytes back, unread; or, given a model,
one that also computes an inference, of the float32 tensor that the request ends with.

Run as `python grpc_raw.py PORT [MODEL.onnx]`.
"""

import asyncio
import math
import sys

import grpc
import numpy as np
import onnxruntime as ort


async def echo(request, _context):
    return request


def inference(file):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    tensor = session.get_inputs()[0]
    shape = (1, *tensor.shape[1:])
    count = math.prod(shape)

    async def infer(request, _context):
        sample = np.frombuffer(request, np.float32, count, len(request) - 4 * count).reshape(shape)
        return session.run(None, {tensor.name: sample})[0].tobytes()

    return infer


async def main(port, model=None):
    server = grpc.aio.server()
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(inference(model) if model else echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
