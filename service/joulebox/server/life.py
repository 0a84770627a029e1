"""What runs beside the answering of HTTP requests, from the worker's start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from joulebox.access import Access
from joulebox.oip.dataplane import Dataplane
from joulebox.runtime.settings import Settings

if TYPE_CHECKING:
    from joulebox.grpc.server import GrpcServer

log = logging.getLogger("joulebox.server")


class Life:
    """Brings up models, samples energy, and serves gRPC where it has a port."""

    def __init__(self, settings: Settings, host: str, access: Access, dataplane: Dataplane) -> None:
        self._settings = settings
        self._host = host
        self._access = access
        self._dataplane = dataplane
        self._grpc: GrpcServer | None = None
        self._ending: asyncio.Task[None] | None = None
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins; models are not ready yet.

        Raises:
            SettingError: gRPC cannot listen.
        """
        if self._settings.grpc_port:
            from joulebox.grpc.server import GrpcServer  # noqa: PLC0415  # 35 MB that a server without it does not need

            self._grpc = GrpcServer(self._dataplane, self._settings, self._host, self._access)
            await self._grpc.start()
        work = (self._dataplane.repository.run(), self._dataplane.sampler.run())
        self._background = [asyncio.create_task(_logged(each)) for each in work]

    def begin_drain(self) -> None:
        """What has been accepted is still answered, but nobody should send more."""
        self._dataplane.repository.draining = True
        if self._grpc is not None and self._ending is None:
            self._ending = asyncio.create_task(self._grpc.stop(self._settings.drain_timeout_s))

    async def stop(self) -> None:
        """Ends, once what was accepted is answered."""
        self.begin_drain()
        if self._ending is not None:
            await self._ending
        await self._dataplane.repository.drain()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._dataplane.sampler.tick()
        self._dataplane.regions.close()
        if self._access.tracer is not None:
            await asyncio.to_thread(self._access.tracer.close)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """A background task whose end is never silent."""
    try:
        await work
    except Exception:
        log.exception("a background task ended")
        raise
