"""How calls are bounded, cancelled and drained: the gRPC server with a model that computes as long as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc.aio
import numpy as np
import pytest

from joulebox.access import Access
from joulebox.access.keys import ClientLimit
from joulebox.grpc import messages
from joulebox.grpc.server import GrpcServer
from joulebox.grpc.stream import INFLIGHT_MAX
from joulebox.oip.call import Answer, Call
from joulebox.package import TensorSpec
from joulebox.runtime.batch import Inference
from joulebox.runtime.errors import Overloaded
from joulebox.runtime.regions import Regions
from joulebox.runtime.sampler import Provisional
from joulebox.runtime.settings import load_settings

SPEC = TensorSpec(name="x", datatype="FP32", shape=[-1])
INFER = f"/{messages.INFERENCE_SERVICE}/ModelInfer"
STREAM = f"/{messages.INFERENCE_SERVICE}/ModelStreamInfer"
Code = grpc.StatusCode


class Stand(SimpleNamespace):
    """What the server looks at of a model."""


class Slow:
    """A dataplane whose one model echoes, once `go` is set."""

    def __init__(self) -> None:
        manifest = SimpleNamespace(inputs=[SPEC], outputs=[SPEC], batched=True, labels=[])
        self.requests: list[tuple[str, int]] = []
        observed = SimpleNamespace(
            request=lambda protocol, code, _seconds: self.requests.append((protocol, code)), coded=lambda *_: None
        )
        self.model = Stand(
            name="slow",
            version="v",
            package=SimpleNamespace(manifest=manifest),
            observed=observed,
            enter_request=lambda: None,
            leave_request=lambda: None,
        )
        self.repository = SimpleNamespace(get=lambda _name, _version=None: self.model)
        self.regions = Regions(enabled=False)
        self.ready = True
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.timeouts_s: list[float | None] = []
        self.cancelled: list[str] = []
        self.error: Exception | None = None

    def infer_now(self, _model: Any, _call: Any) -> None:
        """Nothing is computed on the spot."""

    async def infer(self, model: Any, call: Call) -> Answer:
        self.begun.append(call.id)
        self.timeouts_s.append(call.timeout_s)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(call.id)
            raise
        if self.error is not None:
            raise self.error
        array = call.inputs["x"]
        outputs = [(output, "FP32", array) for output in call.outputs]
        return Answer(model, Inference({"x": array}, 0.0, 0.0, 1, 1), outputs, Provisional(None, "none"))


Running = tuple[Slow, Any, GrpcServer]
Scenario = Callable[[Slow, Any, GrpcServer], Coroutine[Any, Any, None]]


@asynccontextmanager
async def running(access: Access | None = None, **variables: str) -> AsyncIterator[Running]:
    slow = Slow()
    settings = load_settings({f"JOULEBOX_{name}": value for name, value in variables.items()}, Path("/nowhere"))
    server = GrpcServer(slow, settings, "127.0.0.1", access or Access())  # pyright: ignore[reportArgumentType]
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield slow, channel, server
        finally:
            slow.go.set()
            await server.stop(5)


def run(scenario: Scenario, access: Access | None = None, **variables: str) -> None:
    async def main() -> None:
        async with running(access, **variables) as (slow, channel, server):
            await asyncio.wait_for(scenario(slow, channel, server), 20)

    asyncio.run(main())


def request(request_id: str = "", **parameters: Any) -> bytes:
    asked = messages.ModelInferRequest(model_name="slow", id=request_id, raw_input_contents=[bytes(8)])
    asked.inputs.add(name="x", datatype="FP32", shape=[2])
    for name, value in parameters.items():
        asked.parameters[name].int64_param = value
    return asked.SerializeToString()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  # what a test waits for is not an event
        await asyncio.sleep(0.01)


@contextmanager
def refused(code: grpc.StatusCode, text: str) -> Iterator[pytest.ExceptionInfo[grpc.aio.AioRpcError]]:
    with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
        yield caught
    assert caught.value.code() is code


def test_a_client_that_leaves_has_its_work_dropped() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        call = channel.unary_unary(INFER)(request("gone"))
        await until(lambda: slow.begun == ["gone"])
        call.cancel()
        await until(lambda: slow.cancelled == ["gone"])
        await until(lambda: slow.requests == [("grpc", 499)])

    run(scenario)


def test_a_deadline_of_the_call_or_the_request_limits_the_work() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        infer = channel.unary_unary(INFER)
        slow.go.set()
        await infer(request())
        await infer(request(timeout=2_000_000))
        await infer(request(), timeout=5)
        await infer(request(timeout=2_000_000), timeout=5)
        await infer(request(timeout=9_000_000), timeout=5)
        assert slow.timeouts_s[:2] == [None, 2.0]
        assert [round(each) if each else each for each in slow.timeouts_s[2:]] == [5, 2, 5]
        slow.go.clear()
        with refused(Code.DEADLINE_EXCEEDED, "Deadline"):
            await infer(request("late"), timeout=0.3)
        await until(lambda: slow.cancelled == ["late"])

    run(scenario)


def test_an_overload_says_when_to_come_back() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        slow.error = Overloaded("too much waits", retry_after_s=3)
        slow.go.set()
        with refused(Code.UNAVAILABLE, "too much waits") as caught:
            await channel.unary_unary(INFER)(request())
        assert dict(caught.value.trailing_metadata())["retry-after"] == "3"

    run(scenario)


def test_a_fault_of_the_server_tells_the_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        slow.error = ZeroDivisionError("a secret")
        slow.go.set()
        with refused(Code.INTERNAL, "the server failed to answer; its log says why") as caught:
            await channel.unary_unary(INFER)(request())
        assert "secret" not in str(caught.value)
        stream = channel.stream_stream(STREAM)(iter([request("1")]))
        answer = messages.ModelStreamInferResponse.FromString(await stream.read())
        assert (answer.error_message, answer.infer_response.id) == (
            "the server failed to answer; its log says why",
            "1",
        )

    run(scenario)
    assert "ZeroDivisionError: a secret" in caplog.text


def test_requests_under_way_are_bounded_in_bytes() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        infer = channel.unary_unary(INFER)
        large = messages.ModelInferRequest(model_name="slow", raw_input_contents=[bytes(2000)])
        large.inputs.add(name="x", datatype="FP32", shape=[500])
        first = infer(large.SerializeToString())
        await until(lambda: len(slow.begun) == 1)
        with refused(Code.UNAVAILABLE, "would pass the limit of 3000"):
            await infer(large.SerializeToString())
        slow.go.set()
        await first
        await infer(large.SerializeToString())

    run(scenario, INFLIGHT_BYTES_MAX="3000")


def test_calls_are_bounded_in_number() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        first = channel.unary_unary(INFER)(request())
        await until(lambda: len(slow.begun) == 1)
        second = channel.unary_unary(INFER)(request())
        await asyncio.sleep(0.2)
        assert len(slow.begun) == 1
        slow.go.set()
        await first
        await asyncio.wait([asyncio.ensure_future(second)])

    run(scenario, CONNECTIONS_MAX="1")


def test_a_client_has_no_more_under_way_than_it_may() -> None:
    limit = ClientLimit(1)

    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        first = channel.unary_unary(INFER)(request())
        await until(lambda: len(slow.begun) == 1)
        with refused(Code.RESOURCE_EXHAUSTED, "this client has 1 requests under way"):
            await channel.unary_unary(INFER)(request())
        slow.go.set()
        await first
        assert len(limit) == 0

    run(scenario, Access(limit=limit))


def test_calls_are_logged_where_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        slow.go.set()
        await channel.unary_unary(INFER)(request())
        slow.error = Overloaded("too much waits")
        with refused(Code.UNAVAILABLE, "too much waits"):
            await channel.unary_unary(INFER)(request())
        slow.go.clear()
        call = channel.unary_unary(INFER)(request())
        await until(lambda: len(slow.begun) == 3)
        call.cancel()
        await until(lambda: len(caplog.messages) == 3)

    with caplog.at_level("INFO", "joulebox.access"):
        run(scenario, ACCESS_LOG="1")
    assert caplog.messages == [f"gRPC {INFER} {status}" for status in (200, 503, 499)]


def test_a_refusal_repeats_the_request_id() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        slow.error = ZeroDivisionError()
        slow.go.set()
        for sent, repeated in ((("x-request-id", "frame-7"),), "frame-7"), ((), None):
            with refused(Code.INTERNAL, "its log says why") as caught:
                await channel.unary_unary(INFER)(request(), metadata=sent)
            answered = dict(caught.value.trailing_metadata())["x-request-id"]
            assert answered == repeated if repeated else answered

    run(scenario)


def test_spans_are_made_where_they_are_asked_for() -> None:
    begun: list[tuple[str, Any, dict[str, str]]] = []
    ended: list[int] = []
    span = SimpleNamespace(trace_id="1" * 32, finish_grpc=ended.append, inferred=lambda *_: None)

    def begin(name: str, parent: Any, _state: bytes, attributes: dict[str, str]) -> Any:
        begun.append((name, parent and parent.trace_id, attributes))
        return span

    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        slow.go.set()
        traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
        await channel.unary_unary(INFER)(request(), metadata=(("traceparent", traceparent),))
        slow.error = Overloaded("too much waits")
        with refused(Code.UNAVAILABLE, "too much waits"):
            await channel.unary_unary(INFER)(request())

    run(scenario, Access(tracer=cast("Any", SimpleNamespace(begin=begin))))
    attributes = {"rpc.system": "grpc", "rpc.service": messages.INFERENCE_SERVICE, "rpc.method": "ModelInfer"}
    assert begun == [(INFER[1:], "a" * 32, attributes), (INFER[1:], None, attributes)]
    assert ended == [0, 14]


def test_a_stream_is_not_read_beyond_what_may_be_under_way() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        count = 3 * INFLIGHT_MAX
        stream = channel.stream_stream(STREAM)(iter([request(str(number)) for number in range(count)]))
        await until(lambda: len(slow.begun) == INFLIGHT_MAX)
        await asyncio.sleep(0.1)
        assert len(slow.begun) == INFLIGHT_MAX
        slow.go.set()
        ids = [messages.ModelStreamInferResponse.FromString(raw).infer_response.id async for raw in stream]
        assert ids == [str(number) for number in range(count)]

    run(scenario)


def test_a_stream_that_is_left_has_all_its_work_dropped() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        stream = channel.stream_stream(STREAM)(iter([request(str(number)) for number in range(5)]))
        await until(lambda: len(slow.begun) == 5)
        stream.cancel()
        await until(lambda: len(slow.cancelled) == 5)

    run(scenario)


def test_what_was_accepted_is_answered_when_the_server_stops() -> None:
    async def scenario(slow: Slow, channel: Any, server: GrpcServer) -> None:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request("call")))
        stream = channel.stream_stream(STREAM)()
        await stream.write(request("stream"))
        watch = channel.unary_stream(f"/{messages.HEALTH_SERVICE}/Watch")(b"")
        assert await watch.read() == messages.HealthCheckResponse(status=1).SerializeToString()
        await until(lambda: len(slow.begun) == 2)
        stopping = asyncio.create_task(server.stop(5))
        assert await watch.read() == messages.HealthCheckResponse(status=2).SerializeToString()
        slow.go.set()
        assert messages.ModelInferResponse.FromString(await call).id == "call"
        answer = messages.ModelStreamInferResponse.FromString(await stream.read())
        assert answer.infer_response.id == "stream"
        with refused(Code.UNAVAILABLE, "the server is stopping"):
            await stream.read()
        await stopping

    run(scenario)


def test_what_is_not_done_in_time_is_given_up_when_the_server_stops() -> None:
    async def scenario(slow: Slow, channel: Any, server: GrpcServer) -> None:
        call = channel.unary_unary(INFER)(request("call"))
        await until(lambda: slow.begun == ["call"])
        await server.stop(0.1)
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await until(lambda: slow.cancelled == ["call"])

    run(scenario)


def test_raw_inputs_come_whole() -> None:
    async def scenario(slow: Slow, channel: Any, _server: GrpcServer) -> None:
        slow.go.set()
        sent = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
        asked = messages.ModelInferRequest(model_name="slow", raw_input_contents=[sent.tobytes()])
        asked.inputs.add(name="x", datatype="FP32", shape=sent.shape)
        response = messages.ModelInferResponse.FromString(await channel.unary_unary(INFER)(asked.SerializeToString()))
        assert response.raw_output_contents[0] == sent.tobytes()

    run(scenario)
