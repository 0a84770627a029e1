"""A request for inference in the metrics: in flight while it lasts, then its duration by status, errors included."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import final

from joulebox.grpc.errors import CLIENT_GONE
from joulebox.runtime.batcher import Inference
from joulebox.runtime.errors import ServeError
from joulebox.runtime.model import Model

PROTOCOL = "grpc"


@final
class Counted:
    """`with Counted(model) as counted:` around the answering of one request."""

    __slots__ = ("_decoded_s", "_inference", "_model", "_started_s")

    def __init__(self, model: Model) -> None:
        self._model = model
        self._inference: Inference | None = None

    def __enter__(self) -> Counted:
        self._started_s = self._decoded_s = time.perf_counter()
        self._model.enter_request()
        return self

    def decoded(self) -> None:
        """The request was read."""
        self._decoded_s = time.perf_counter()

    def computed(self, inference: Inference) -> None:
        """The answer is there, and not yet written."""
        self._inference = inference

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._started_s
        self._model.leave_request()
        self._model.observed.request(PROTOCOL, _status(error), seconds)
        if error is None and self._inference is not None:
            decode_s, inference = self._decoded_s - self._started_s, self._inference
            self._model.observed.coded(decode_s, seconds - decode_s - inference.queue_s - inference.compute_s)


def _status(error: BaseException | None) -> int:
    """As HTTP has it, so that one label says the same of all protocols."""
    if error is None:
        return 200
    if isinstance(error, ServeError):
        return error.status
    return CLIENT_GONE if isinstance(error, asyncio.CancelledError) else 500
