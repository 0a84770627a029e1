"""Over gRPC, against a server that speaks it and whose truth is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

grpc = pytest.importorskip("grpc")
messages = pytest.importorskip("joulebox.grpc.messages")

from joulebox.bench.connection import Address, Answer, exchange  # noqa: E402  # after what may be missing
from joulebox.bench.grpc import GrpcConnection, grpc_request  # noqa: E402
from joulebox.bench.load import Closed  # noqa: E402
from joulebox.bench.tally import Tally  # noqa: E402
from joulebox.package import TensorSpec  # noqa: E402

SPECS = [TensorSpec(name="x", datatype="FP32", shape=[-1, 2]), TensorSpec(name="s", datatype="BYTES", shape=[-1])]
TENSORS = {"x": np.float32([[1, 2]]), "s": np.array(["où"], dtype=object)}
Infer = Callable[[Any, Any], Awaitable[bytes]]


@asynccontextmanager
async def running(infer: Infer) -> AsyncGenerator[int]:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(infer, request_deserializer=messages.ModelInferRequest.FromString)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def ask(infer: Infer, timeout_s: float = 5.0) -> Answer:
    async def run() -> Answer:
        async with running(infer) as port:
            connection = GrpcConnection(Address("127.0.0.1", 0, tls=False, headers=(("X-Key", "k"),)), port, timeout_s)
            answer = await exchange(connection, grpc_request("m", SPECS, TENSORS))
            await connection.close()
            return answer

    return asyncio.run(run())


def test_a_request_has_raw_tensors_and_the_headers() -> None:
    seen: list[Any] = []

    async def infer(request: Any, context: Any) -> bytes:
        seen.append((request, dict(context.invocation_metadata())))
        return b""

    answer = ask(infer)
    assert answer.kind == "200"
    assert answer.due_s == answer.sent_s < answer.ended_s
    ((request, metadata),) = seen
    assert request.model_name == "m"
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in request.inputs] == [
        ("x", "FP32", [1, 2]),
        ("s", "BYTES", [1]),
    ]
    assert list(request.raw_input_contents) == [TENSORS["x"].tobytes(), b"\x03\x00\x00\x00o\xc3\xb9"]
    assert metadata["x-key"] == "k"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("INVALID_ARGUMENT", "400"), ("UNAVAILABLE", "503"), ("RESOURCE_EXHAUSTED", "429"), ("DATA_LOSS", "data_loss")],
)
def test_codes_are_counted_as_the_status_that_http_has_for_them(code: str, kind: str) -> None:
    async def infer(_: Any, context: Any) -> bytes:
        await context.abort(grpc.StatusCode[code], "so it is")
        return b""

    answer = ask(infer)
    assert (answer.kind, answer.body) == (kind, b"so it is")


def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    async def infer(*_: Any) -> bytes:
        await asyncio.sleep(5)
        return b""

    assert ask(infer, timeout_s=0.1).kind == "timeout"


def test_no_server_is_no_refusal() -> None:
    async def run() -> Answer:
        connection = GrpcConnection(Address("127.0.0.1", 0, tls=False), 9, 2.0)
        answer = await exchange(connection, b"")
        await connection.close()
        return answer

    assert asyncio.run(run()).kind == "connection"


def test_a_closed_loop_over_grpc() -> None:
    counted = 0

    async def infer(*_: Any) -> bytes:
        nonlocal counted
        counted += 1
        return b""

    async def run() -> Tally:
        async with running(infer) as port:
            begin_s = time.perf_counter()
            tally = Tally(begin_s, begin_s + 0.3)
            connections = [GrpcConnection(Address("127.0.0.1", 0, tls=False), port, 5.0) for _ in range(4)]
            await Closed(connections, [grpc_request("m", SPECS, TENSORS)], tally).run()
            for connection in connections:
                await connection.close()
            return tally

    tally = asyncio.run(run())
    assert tally.errors == {}
    assert tally.latency.count == counted > 4
