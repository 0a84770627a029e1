"""The same tensor in each server's format, and the tensor that is in its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.models import Model

OCTETS = {"content-type": "application/octet-stream"}
Headers = dict[str, str]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Headers
    body: bytes
    decode: Callable[[Headers, bytes], NDArray[np.float32]]


def raw(path: str) -> Callable[[Model], Request]:
    """The tensor's bytes, nothing else, both ways."""

    def request(model: Model) -> Request:
        return Request(path, OCTETS, model.sample.tobytes(), lambda _headers, body: np.frombuffer(body, np.float32))

    return request


def oip_json(model: Model) -> Request:
    """Open Inference Protocol in JSON: a flat list of the shortest decimals that give the same float32."""
    tensor = {"name": model.input, "shape": list(model.sample.shape), "datatype": "FP32", "data": model.sample.ravel()}
    body = orjson.dumps({"inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Request(_path(model), {"content-type": "application/json"}, body, _from_oip)


def oip_binary(model: Model, timeout_us: int | None = None) -> Request:
    """Open Inference Protocol with its binary tensor extension, both ways."""
    content = model.sample.tobytes()
    tensor = {
        "name": model.input,
        "shape": list(model.sample.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    output = {"name": model.output, "parameters": {"binary_data": True}}
    parameters = {} if timeout_us is None else {"parameters": {"timeout": timeout_us}}
    head = json.dumps({**parameters, "inputs": [tensor], "outputs": [output]}).encode()
    headers = {**OCTETS, "inference-header-content-length": str(len(head))}
    return Request(_path(model), headers, head + content, _from_oip)


def _path(model: Model) -> str:
    return f"/v2/models/{model.name}/infer"


def _from_oip(headers: Headers, body: bytes) -> NDArray[np.float32]:
    length = headers.get("inference-header-content-length")
    output = json.loads(body if length is None else body[: int(length)])["outputs"][0]
    if "data" in output:
        return np.asarray(output["data"], np.float32)
    return np.frombuffer(body[int(length) :], np.float32)


def as_http(request: Request, port: int) -> bytes:
    """The request as it goes over a connection that stays open."""
    headers = {"host": f"127.0.0.1:{port}", **request.headers, "content-length": str(len(request.body))}
    lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + request.body
