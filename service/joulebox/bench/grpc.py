"""The Open Inference Protocol over gRPC: one channel with one call in flight, as an HTTP connection has one request."""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import Any

from joulebox.bench.connection import LOST, OK, TIMEOUT, Address, Answer, Done
from joulebox.bench.errors import UsageError
from joulebox.bench.inputs import Tensors
from joulebox.oip.tensors import to_raw
from joulebox.package import TensorSpec

METHOD = "/inference.GRPCInferenceService/ModelInfer"
NO_SERVER = "failed to connect"  # how gRPC tells it from a server that says UNAVAILABLE
KINDS = {
    "INVALID_ARGUMENT": "400",
    "UNAUTHENTICATED": "401",
    "PERMISSION_DENIED": "403",
    "NOT_FOUND": "404",
    "RESOURCE_EXHAUSTED": "429",
    "INTERNAL": "500",
    "UNIMPLEMENTED": "501",
    "UNAVAILABLE": "503",
    "DEADLINE_EXCEEDED": TIMEOUT,
}


def _load(name: str) -> Any:
    """A module that only gRPC needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--protocol grpc needs grpcio and protobuf ({error}): pip install grpcio protobuf") from error


def grpc_request(model: str, specs: list[TensorSpec], tensors: Tensors) -> bytes:
    """A `ModelInferRequest` with raw tensors."""
    messages = _load("joulebox.grpc.messages")
    request = messages.ModelInferRequest(model_name=model)
    for spec in specs:
        request.inputs.add(name=spec.name, datatype=spec.datatype, shape=tensors[spec.name].shape)
        request.raw_input_contents.append(to_raw(tensors[spec.name]))
    return request.SerializeToString()


class GrpcConnection:
    """A channel of its own: channels of one process would share a TCP connection. Answers are not decoded."""

    def __init__(self, address: Address, port: int, timeout_s: float) -> None:
        self._grpc = _load("grpc")
        host = f"[{address.host}]" if ":" in address.host else address.host
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        aio = self._grpc.aio
        self._channel: Any = (
            aio.secure_channel(f"{host}:{port}", self._grpc.ssl_channel_credentials(), options=options)
            if address.tls
            else aio.insecure_channel(f"{host}:{port}", options=options)
        )
        self._infer = self._channel.unary_unary(METHOD)  # bytes in and out
        self._metadata = tuple((name.lower(), value) for name, value in address.headers)
        self._timeout_s = timeout_s
        self._task: asyncio.Task[None] | None = None

    def send(self, request: bytes, done: Done, *, due_s: float | None = None, keep: bool = False) -> None:  # noqa: ARG002  # nothing of the answer is read
        self._task = asyncio.get_running_loop().create_task(self._call(request, done, due_s))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._channel.close()

    async def _call(self, request: bytes, done: Done, due_s: float | None) -> None:
        sent_s = time.perf_counter()
        kind, said = OK, ""
        try:
            await self._infer(request, timeout=self._timeout_s, metadata=self._metadata)
        except self._grpc.aio.AioRpcError as error:
            said = error.details() or ""
            name = error.code().name
            kind = LOST if name == "UNAVAILABLE" and NO_SERVER in said else KINDS.get(name, name.lower())
        ended_s = time.perf_counter()
        done(Answer(kind, sent_s if due_s is None else due_s, sent_s, ended_s, b"", b"", said.encode()))
