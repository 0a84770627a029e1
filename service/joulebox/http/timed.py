"""The time of one request for inference: into the metrics, and into the answer's `Server-Timing`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from joulebox.http.exchange import Reply
from joulebox.runtime.batcher import Inference
from joulebox.runtime.errors import ServeError
from joulebox.runtime.model import Model

CLIENT_GONE = 499  # as nginx has it
SERVER_TIMING = b"server-timing"


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

    def done(self, reply: Reply, inference: Inference) -> None:
        """The answer is written."""
        now_s = time.perf_counter()
        total_s, model = now_s - self._started_s, self.model
        reply.headers.append(
            (
                SERVER_TIMING,
                b"queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f"
                % (1e3 * inference.queue_s, 1e3 * inference.compute_s, 1e3 * total_s),
            )
        )
        decode_s = self._decoded_s - self._started_s
        model.observed.coded(decode_s, total_s - decode_s - inference.queue_s - inference.compute_s)
        self._close(200, total_s)

    def failed(self, error: BaseException) -> None:
        """It is answered with an error, or nobody is there to be answered."""
        if isinstance(error, ServeError):
            code = error.status
        else:
            code = CLIENT_GONE if isinstance(error, asyncio.CancelledError) else 500
        self._close(code, time.perf_counter() - self._started_s)

    def later(self, work: Coroutine[Any, Any, Reply]) -> asyncio.Task[Reply]:
        """Does the rest in a task; counted however that ends, also where it is cancelled before it begins."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Reply]) -> None:
        if task.cancelled():
            self.failed(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.failed(error)

    def _close(self, code: int, seconds: float) -> None:
        if self._open:
            self._open = False
            self.model.leave_request()
            self.model.observed.request(self._protocol, code, seconds)
