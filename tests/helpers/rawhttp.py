"""HTTP as bytes: requests to the tiny packages, and answers read from a socket, whatever a proper client would think of them."""

from __future__ import annotations

import json
import socket
from typing import Any, BinaryIO, cast

import numpy as np

IMAGE = np.arange(16, dtype=np.float32)

Answer = tuple[int, dict[str, str], bytes]


def infer(items: int = 1, *, headers: bytes = b"", model: bytes = b"tiny", name: str = "") -> bytes:
    """A request with a raw tensor, and raw tensors asked for."""
    images = np.tile(IMAGE, items)
    content: dict[str, Any] = {
        "inputs": [
            {
                "name": "image",
                "shape": [items, 1, 4, 4],
                "datatype": "FP32",
                "parameters": {"binary_data_size": images.nbytes},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
    if name:
        content["id"] = name
    head = json.dumps(content).encode()
    lines = b"Host: x\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n" % (
        len(head),
        len(head) + images.nbytes,
    )
    return b"POST /v2/models/%s/infer HTTP/1.1\r\n%s%s\r\n" % (model, lines, headers) + head + images.tobytes()


def get(
    path: str = "/v2/health/live", *, headers: bytes = b"", version: bytes = b"1.1", method: bytes = b"GET"
) -> bytes:
    return b"%s %s HTTP/%s\r\nHost: x\r\n%s\r\n" % (method, path.encode(), version, headers)


def read(file: BinaryIO, *, head: bool = False) -> Answer:
    """The next answer; status 0 where the server has closed."""
    first = file.readline()
    if not first:
        return 0, {}, b""
    version, status, _ = first.split(b" ", 2)
    assert version == b"HTTP/1.1"
    headers: dict[str, str] = {}
    while line := file.readline().rstrip(b"\r\n"):
        name, _, value = line.decode().partition(": ")
        assert name not in headers
        headers[name] = value
    length = int(headers.get("content-length", 0))
    return int(status), headers, b"" if head else file.read(length)


def answers(worker: Any, content: bytes, count: int = 1) -> list[Answer]:
    """What the server answers to these bytes, and then that it has closed, or not, as status 0."""
    with worker.connect() as client, client.makefile("rb") as file:
        client.sendall(content)
        return [read(cast("BinaryIO", file)) for _ in range(count)]


def statuses(worker: Any, content: bytes, count: int = 1) -> list[int]:
    return [status for status, _, _ in answers(worker, content, count)]


def name_of(answer: Answer) -> str:
    status, headers, body = answer
    assert status == 200, body
    return json.loads(body[: int(headers["inference-header-content-length"])])["id"]


def closes(client: socket.socket) -> bool:
    """Whether the server ends the connection, with what it still had to say or without."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True
