"""The real server over gRPC: what it refuses, and with which code and text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from joulebox.engine.datatypes import NUMPY
from joulebox.grpc import messages
from joulebox.grpc.contents import FIELDS
from joulebox.oip.tensors import to_raw
from servers import free_port, serving

SERVING, NOT_SERVING = messages.HealthCheckResponse.SERVING, messages.HealthCheckResponse.NOT_SERVING


def request(size: int = 1, **fields: Any) -> Any:
    asked = messages.ModelInferRequest(
        **{"model_name": "tiny", "raw_input_contents": [np.ones(16 * size, "f4").tobytes()], **fields}
    )
    asked.inputs.add(name="image", datatype="FP32", shape=[size, 1, 4, 4])
    return asked


def health(client: Any, service: str = "") -> Any:
    check = client.channel.unary_unary(
        f"/{messages.HEALTH_SERVICE}/Check",
        messages.HealthCheckRequest.SerializeToString,
        messages.HealthCheckResponse.FromString,
    )
    return check(messages.HealthCheckRequest(service=service), timeout=20).status


def test_typed_contents_of_every_datatype(client: Any) -> None:
    values: dict[str, list[Any]] = {name: [0, 1] for name in FIELDS}
    values |= {"BOOL": [False, True], "INT8": [-128, 127], "UINT64": [0, 2**64 - 1], "INT64": [-(2**63), 2**63 - 1]}
    values |= {"FP32": [0.5, float("inf")], "FP64": [1e-300, -1.0], "BYTES": [b"", "–Σ".encode()]}
    asked = messages.ModelInferRequest(model_name="datatypes")
    for name, field in FIELDS.items():
        tensor = asked.inputs.add(name=f"in_{name}", datatype=name, shape=[1, 2])
        getattr(tensor.contents, field).extend(values[name])
    asked.outputs.extend(asked.InferRequestedOutputTensor(name=f"out_{name}") for name in FIELDS)
    assert client.refused(asked)[0] == "INVALID_ARGUMENT"  # FP16 is missing, which has no typed contents
    asked = with_fp16(asked)
    response = client.infer(asked)
    for name, raw in zip(FIELDS, response.raw_output_contents, strict=True):
        array = np.array(values[name], np.object_ if name == "BYTES" else NUMPY[name])
        assert raw == to_raw(array), name


def with_fp16(asked: Any) -> Any:
    """The same tensors raw, since typed and raw do not mix, and FP16 beside them."""
    raw = messages.ModelInferRequest(model_name="datatypes", outputs=asked.outputs)
    for tensor in asked.inputs:
        name = tensor.datatype
        content = list(getattr(tensor.contents, FIELDS[name]))
        raw.inputs.add(name=tensor.name, datatype=name, shape=tensor.shape)
        raw.raw_input_contents.append(to_raw(np.array(content, np.object_ if name == "BYTES" else NUMPY[name])))
    raw.inputs.add(name="in_FP16", datatype="FP16", shape=[1, 2])
    raw.raw_input_contents.append(bytes(4))
    return raw


def test_typed_contents_of_one_input(client: Any) -> None:
    asked = request(raw_input_contents=[])
    asked.inputs[0].contents.fp32_contents.extend([1.0] * 16)
    assert np.frombuffer(client.infer(asked).raw_output_contents[0], "f4").tolist() == [6.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (request(model_name="nothing"), "NOT_FOUND", "Request for unknown model: 'nothing' is not found"),
        (request(model_version="7"), "NOT_FOUND", "version '7' is not found"),
        (request(raw_input_contents=[b""]), "INVALID_ARGUMENT", "unexpected total byte size 0"),
        (request(id="x" * 2000), "INVALID_ARGUMENT", "id has 2000 characters"),
    ],
)
def test_errors_have_tritons_codes(client: Any, asked: Any, code: str, text: str) -> None:
    answered, details = client.refused(asked)
    assert answered == code
    assert text in details


def test_bytes_that_are_no_message_are_refused(client: Any) -> None:
    call = client.channel.unary_unary(f"/{messages.INFERENCE_SERVICE}/ModelInfer")
    with pytest.raises(grpc.RpcError, match=r"is no inference\.ModelInferRequest") as caught:
        call(b"\xff\xff", timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_that_is_too_large_is_refused(client: Any) -> None:
    assert client.infer(request(16_000)).outputs[0].shape[0] == 16_000
    code, text = client.refused(request(17_000))
    assert code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in text
    assert client.refused(request(64_000), compression=grpc.Compression.Gzip)[0] == "RESOURCE_EXHAUSTED"


def test_an_unknown_method_is_unimplemented(client: Any) -> None:
    call = client.channel.unary_unary(f"/{messages.INFERENCE_SERVICE}/Nothing")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_repository_by_name_is_not_supported(client: Any) -> None:
    with pytest.raises(grpc.RpcError, match="'repository_name' specification is not supported"):
        client.call(
            "RepositoryIndex",
            messages.RepositoryIndexRequest(repository_name="other"),
            messages.RepositoryIndexResponse,
        )


def test_a_request_that_stays_half_sent_is_given_up(client: Any) -> None:
    """The server of these tests waits a second for it; no request is as good as half a one."""
    call = client.channel.stream_unary(f"/{messages.INFERENCE_SERVICE}/ModelInfer")

    def never() -> Iterator[bytes]:
        time.sleep(3)
        yield b""

    began_s = time.monotonic()
    with pytest.raises(grpc.RpcError, match="the request was not whole within 1 s") as caught:
        call(never(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began_s < 2.5


def test_the_standard_health_service(client: Any) -> None:
    assert health(client) == health(client, messages.INFERENCE_SERVICE) == health(client, "tiny") == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health(client, "nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_watched(client: Any) -> None:
    watch = client.channel.unary_stream(
        f"/{messages.HEALTH_SERVICE}/Watch",
        messages.HealthCheckRequest.SerializeToString,
        messages.HealthCheckResponse.FromString,
    )
    statuses = watch(messages.HealthCheckRequest(service="nothing"), timeout=20)
    assert next(statuses).status == messages.HealthCheckResponse.SERVICE_UNKNOWN
    statuses.cancel()


def test_the_standard_health_client(address: str) -> None:
    health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
    health_pb2_grpc = pytest.importorskip("grpc_health.v1.health_pb2_grpc")
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=20).status == SERVING


def test_a_client_without_a_key_is_refused(serve: Any, packages: list[Path], connect: Callable[[str], Any]) -> None:
    key = "k" * 32
    with serve(packages[0], API_KEYS=f"camera:{key}") as address:
        client = connect(address)
        assert health(client) == SERVING
        assert client.call("ServerReady", messages.ServerReadyRequest(), messages.ServerReadyResponse).ready
        code, text = client.refused(request())
        assert code == "UNAUTHENTICATED"
        assert "there is no API key" in text
        assert client.refused(request(), metadata=[("x-api-key", "wrong" * 8)])[0] == "UNAUTHENTICATED"
        assert client.infer(request(), metadata=[("authorization", f"Bearer {key}")])
        assert client.infer(request(), metadata=[("x-api-key", key)])
        client.channel.close()


def test_the_repository_can_be_closed(serve: Any, packages: list[Path], connect: Callable[[str], Any]) -> None:
    with serve(packages[0], REPOSITORY_CONTROL="off") as address:
        client = connect(address)
        with pytest.raises(grpc.RpcError, match="the model repository is closed") as caught:
            client.call(
                "RepositoryModelUnload",
                messages.RepositoryModelUnloadRequest(model_name="tiny"),
                messages.RepositoryModelUnloadResponse,
            )
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        client.channel.close()


def test_requests_are_counted(packages: list[Path], connect: Callable[[str], Any]) -> None:
    port = free_port()
    with serving(packages[0], environment={"JOULEBOX_GRPC_PORT": str(port)}) as http:
        client = connect(f"127.0.0.1:{port}")
        for _ in range(3):
            client.infer(request())
        client.refused(request(raw_input_contents=[]))
        client.channel.close()
        lines = httpx.get(f"{http}/metrics").text.splitlines()
    counts = [line for line in lines if "request_duration_seconds_count" in line and 'protocol="grpc"' in line]
    assert {line.split('code="')[1][:3]: float(line.split()[-1]) for line in counts} == {"200": 3.0, "400": 1.0}
