"""Plain `@bentoml.api`, tensor bytes in and out: the fastest of its formats (JSON arrays cost it several times as much).

Run as `python bentoml_peer.py MODEL.onnx NAME PORT`. It runs on uvloop and httptools, which BentoML itself would not install.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import onnxruntime as ort
from bentoml.validators import ContentType


@bentoml.service(workers=1)
class Peer:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]

    @bentoml.api
    async def infer(self, body: bytes, /) -> Annotated[bytes, ContentType("application/octet-stream")]:
        array = np.frombuffer(body, np.float32).reshape(-1, *self.input.shape[1:])
        return self.session.run(None, {self.input.name: array})[0].tobytes()


if __name__ == "__main__":
    os.environ["PEER_MODEL"] = sys.argv[1]
    here = Path(__file__)
    arguments = ["serve", f"{here.stem}:Peer", "--working-dir", str(here.parent), "--host", "127.0.0.1"]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *arguments, "--port", sys.argv[3]])
