"""The time of one request for inference, into the metrics; for every protocol alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from joulebox.runtime.batch import Inference
from joulebox.runtime.errors import ServeError
from joulebox.runtime.model import Model

CLIENT_GONE = 499  # as nginx has it; statuses are those of HTTP, so that one label says the same of all protocols

T = TypeVar("T")


class Timed:
    """A request that is in flight until it is done or has failed, and is counted once."""

    __slots__ = ("_decoded_s", "_open", "_protocol", "_started_s", "model")

    def __init__(self, model: Model, protocol: str) -> None:
        self.model = model
        self._protocol = protocol
        self._open = True
        self._started_s = self._decoded_s = time.perf_counter()
        model.enter_request()

    def decoded(self) -> None:
        """The request was read."""
        self._decoded_s = time.perf_counter()

    def done(self, inference: Inference) -> float:
        """The answer is written; gives the seconds since the request was begun."""
        total_s = time.perf_counter() - self._started_s
        decode_s = self._decoded_s - self._started_s
        self.model.observed.coded(decode_s, total_s - decode_s - inference.queue_s - inference.compute_s)
        self._close(200, total_s)
        return total_s

    def failed(self, error: BaseException) -> None:
        """It is answered with an error, or nobody is there to be answered."""
        if isinstance(error, ServeError):
            code = error.status
        else:
            code = CLIENT_GONE if isinstance(error, asyncio.CancelledError) else 500
        self._close(code, time.perf_counter() - self._started_s)

    def later(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Does the rest in a task; counted however that ends, also where it is cancelled before it begins."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.failed(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.failed(error)

    def _close(self, code: int, seconds: float) -> None:
        if self._open:
            self._open = False
            self.model.leave_request()
            self.model.observed.request(self._protocol, code, seconds)
