"""MLServer with a runtime of its own over ONNX Runtime, inference in its process; JSON is all that its REST takes.

Run as `python mlserver_peer.py MODEL.onnx NAME PORT` in a folder that it may write to.
"""

import asyncio
import logging
import sys

import numpy as np
import onnxruntime as ort
from mlserver import MLModel, MLServer
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters, ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse


class Peer(MLModel):
    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(self.settings.parameters.uri, options, providers=["CPUExecutionProvider"])
        self.input, self.output = self.session.get_inputs()[0].name, self.session.get_outputs()[0].name
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensor = payload.inputs[0]
        array = np.array(tensor.data.root, np.float32).reshape(tensor.shape)
        (answer,) = self.session.run(None, {self.input: array})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(self.output, answer)])


async def main(model: str, name: str, port: int) -> None:
    settings = Settings(
        debug=False, host="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2, parallel_workers=0
    )
    server = MLServer(settings)
    await server.start([ModelSettings(name=name, implementation=Peer, parameters=ModelParameters(uri=model))])


if __name__ == "__main__":
    logging.disable(logging.INFO)
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
