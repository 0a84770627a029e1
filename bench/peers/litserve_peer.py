"""LitServe with a raw body and a raw answer. (Its ZeroMQ queue, `fast_queue`, made no difference here.)

Run as `python litserve_peer.py MODEL.onnx NAME PORT`.
"""

import sys
from typing import Annotated

import litserve
import numpy as np
import onnxruntime as ort
from fastapi import Body, Response

MODEL, PORT = sys.argv[1], int(sys.argv[3])


class Peer(litserve.LitAPI):
    def setup(self, device):  # noqa: ARG002  # LitServe passes it by name
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]

    def decode_request(self, request: Annotated[bytes, Body(media_type="application/octet-stream")]):
        return np.frombuffer(request, np.float32).reshape(-1, *self.input.shape[1:])

    def predict(self, x):
        return self.session.run(None, {self.input.name: x})[0]

    def encode_response(self, output) -> Response:
        return Response(output.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    server = litserve.LitServer(Peer(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="error")
