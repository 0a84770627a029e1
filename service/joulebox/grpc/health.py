"""The standard health service, `grpc.health.v1.Health`: for the server (no name, or the service's) and for each model."""

from __future__ import annotations

import asyncio

from joulebox.grpc import messages
from joulebox.grpc.callers import Caller
from joulebox.oip.dataplane import Dataplane
from joulebox.runtime.errors import NotFound

WATCH_S = 0.5  # between looks at what is watched; whoever needs it sooner asks
SERVER = frozenset({"", messages.INFERENCE_SERVICE, messages.HEALTH_SERVICE})

Status = messages.HealthCheckResponse


class Health:
    """Answers whether a service takes requests; not serving once the server stops."""

    def __init__(self, dataplane: Dataplane, stopping: asyncio.Event) -> None:
        self._dataplane = dataplane
        self._stopping = stopping

    async def check(self, raw: bytes, _caller: Caller) -> bytes:
        """One `HealthCheckResponse`.

        Raises:
            NotFound: there is no such service, as the protocol wants it.
        """
        service = messages.parse(messages.HealthCheckRequest, raw).service
        return Status(status=self._status(service)).SerializeToString()

    async def watch(self, raw: bytes, caller: Caller) -> None:
        """The status, then each change of it, until the client leaves or the server stops."""
        service = messages.parse(messages.HealthCheckRequest, raw).service
        last: int | None = None
        while True:
            stopping = self._stopping.is_set()
            status = self._watched(service)
            if status != last:
                await caller.context.write(Status(status=status).SerializeToString())
                last = status
            if stopping:
                return
            try:
                await asyncio.wait_for(self._stopping.wait(), WATCH_S)
            except asyncio.TimeoutError:  # another class than TimeoutError before Python 3.11
                continue

    def _watched(self, service: str) -> int:
        try:
            return self._status(service)
        except NotFound:
            return Status.SERVICE_UNKNOWN

    def _status(self, service: str) -> int:
        ready = self._dataplane.ready if service in SERVER else self._dataplane.model_ready(service)
        return Status.SERVING if ready and not self._stopping.is_set() else Status.NOT_SERVING
