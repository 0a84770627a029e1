"""The limit for a Python ASGI server: uvicorn and ONNX Runtime, tensor bytes in, tensor bytes out, no protocol at all.

Run as `python raw.py MODEL.onnx NAME PORT`. It is told nothing about the tensor, checks nothing and counts nothing.
"""

import sys

import numpy as np
import onnxruntime as ort
import uvicorn

MODEL, PORT = sys.argv[1], int(sys.argv[3])

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
INPUT = session.get_inputs()[0]
SHAPE = (-1, *INPUT.shape[1:])
TYPE = (b"content-type", b"application/octet-stream")


async def app(_scope, receive, send):
    message = await receive()
    body = message["body"]
    if message["more_body"]:
        parts = [body]
        while message["more_body"]:
            message = await receive()
            parts.append(message["body"])
        body = b"".join(parts)
    (answer,) = session.run(None, {INPUT.name: np.frombuffer(body, np.float32).reshape(SHAPE)})
    length = (b"content-length", b"%d" % answer.nbytes)
    await send({"type": "http.response.start", "status": 200, "headers": [TYPE, length]})
    await send({"type": "http.response.body", "body": answer.tobytes()})


uvicorn.run(
    app, port=PORT, loop="uvloop", http="httptools", ws="none", lifespan="off", access_log=False, log_level="error"
)
