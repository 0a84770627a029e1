"""Inference over gRPC: one request a call, or a stream of them."""

from __future__ import annotations

from typing import Any

from joulebox.grpc import messages
from joulebox.grpc.answers import Answers, in_stream
from joulebox.grpc.callers import Caller, Callers
from joulebox.grpc.codec import read_call
from joulebox.grpc.errors import unexpected
from joulebox.grpc.kept import Kept, KeptRequests
from joulebox.oip.call import Call
from joulebox.oip.dataplane import Dataplane
from joulebox.oip.timed import Timed
from joulebox.runtime.errors import Overloaded, ServeError
from joulebox.runtime.model import Model
from joulebox.runtime.settings import Settings

PROTOCOL = "grpc"


class Inference:
    """`ModelInfer`, and each request of a `ModelStreamInfer`."""

    def __init__(self, dataplane: Dataplane, settings: Settings, callers: Callers) -> None:
        self._dataplane = dataplane
        self._callers = callers
        self._kept = KeptRequests()
        self._answers = Answers(dataplane.regions)
        self._inflight_bytes_max = settings.inflight_bytes_max
        self._inflight_bytes = 0

    async def infer(self, raw: bytes, caller: Caller) -> bytes:
        """The `ModelInferResponse` to a `ModelInferRequest`.

        Raises:
            ServeError: what is wrong.
        """
        self._begin(raw, caller)
        try:
            return await self._infer(raw, self._read(raw), caller)
        finally:
            self._end(raw, caller)

    async def stream_infer(self, raw: bytes, caller: Caller) -> bytes:
        """The `ModelStreamInferResponse` to a `ModelInferRequest`, which says in-band what is wrong."""
        request_id = ""
        try:
            self._begin(raw, caller)
            try:
                request = self._read(raw)
                request_id = "" if isinstance(request, Kept) else request.id
                return in_stream(await self._infer(raw, request, caller))
            finally:
                self._end(raw, caller)
        except ServeError as error:
            return _in_band(error, request_id)
        except Exception as error:  # a fault of this server: this request fails, the stream goes on
            return _in_band(unexpected("ModelStreamInfer", error), request_id)

    def _read(self, raw: bytes) -> Kept | Any:
        """What is known of such a request, else its message."""
        return self._kept.find(raw) or messages.parse(messages.ModelInferRequest, raw)

    async def _infer(self, raw: bytes, request: Kept | Any, caller: Caller) -> bytes:
        dataplane = self._dataplane
        model = dataplane.repository.get(request.model_name, request.model_version or None)
        timed = Timed(model, PROTOCOL)
        try:
            call = self._call(raw, request, model)
            timed.decoded()
            remaining_s = caller.context.time_remaining()
            if remaining_s is not None and (call.timeout_s is None or remaining_s < call.timeout_s):
                call.timeout_s = remaining_s
            answer = dataplane.infer_now(model, call) or await dataplane.infer(model, call)
            if caller.span is not None:
                caller.span.inferred(model, answer.inference, answer.energy)
            written = self._answers.write(call.id, answer, energy=self._callers.may_know_energy(caller))
            timed.done(answer.inference)
            return written
        except BaseException as error:
            timed.failed(error)
            raise

    def _call(self, raw: bytes, request: Kept | Any, model: Model) -> Call:
        if isinstance(request, Kept):
            if request.model() is model:
                return request.call(raw)
            request = messages.parse(messages.ModelInferRequest, raw)  # another version is served by now
        call = read_call(model, request, self._dataplane.regions)
        self._kept.keep(raw, request, model, call)
        return call

    def _begin(self, raw: bytes, caller: Caller) -> None:
        """Counts a request and its bytes, while it is answered.

        Raises:
            TooManyRequests: the caller has as many under way as it may.
            Overloaded: the requests under way are as large as they may be together.
        """
        held = self._inflight_bytes + len(raw)
        if held > self._inflight_bytes_max:
            raise Overloaded(
                f"{self._inflight_bytes} bytes of requests are being answered; {len(raw)} more would pass the limit of"
                f" {self._inflight_bytes_max}"
            )
        self._callers.enter(caller)
        self._inflight_bytes = held

    def _end(self, raw: bytes, caller: Caller) -> None:
        self._inflight_bytes -= len(raw)
        self._callers.leave(caller)


def _in_band(error: ServeError, request_id: str) -> bytes:
    """An error as a stream carries it: the text alone, and which request it was."""
    response = messages.ModelStreamInferResponse(error_message=str(error))
    response.infer_response.id = request_id
    return response.SerializeToString()
