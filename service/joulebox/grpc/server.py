"""The gRPC server: the protocol's methods on a port of their own, in the process of the REST server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from joulebox.access import Access
from joulebox.grpc.bounds import credentials, options
from joulebox.grpc.callers import Caller, Callers
from joulebox.grpc.handlers import Handlers, read_whole
from joulebox.grpc.health import Health
from joulebox.grpc.inference import Inference
from joulebox.grpc.messages import HEALTH_SERVICE, INFERENCE_SERVICE
from joulebox.grpc.operations import Operations
from joulebox.grpc.stream import Streams
from joulebox.oip.dataplane import Dataplane
from joulebox.runtime.settings import SettingError, Settings

PROBES = {"ServerLive", "ServerReady"}  # as for health: answered without an API key


class GrpcServer:
    """`inference.GRPCInferenceService` and `grpc.health.v1.Health`. Made on the event loop that it serves from."""

    def __init__(self, dataplane: Dataplane, settings: Settings, host: str, access: Access) -> None:
        self._settings = settings
        self._host = host
        self._stopping = asyncio.Event()
        self._streams = Streams()
        self._callers = Callers(settings, access)
        self._inference = Inference(dataplane, settings, self._callers)
        self._operations = Operations(dataplane, self._callers)
        self._health = Health(dataplane, self._stopping)
        self._server: Any = None

    async def start(self) -> int:
        """Listens, and gives the port.

        Raises:
            SettingError: the port is taken, or the certificate cannot be used.
        """
        settings = self._settings
        server: Any = grpc.aio.server(options=options(settings), maximum_concurrent_rpcs=settings.connections_max)
        server.add_generic_rpc_handlers((self._protocol(), self._health_service()))
        port = self._listen(server)
        await server.start()
        self._server = server
        return port

    async def stop(self, grace_s: float) -> None:
        """Takes no more requests, answers those that were read, and gives up what is not done by then."""
        self._stopping.set()
        self._streams.stop()
        if self._server is not None:
            await self._server.stop(grace_s)

    def _listen(self, server: Any) -> int:
        host = f"[{self._host}]" if ":" in self._host else self._host
        address = f"{host}:{self._settings.grpc_port}"
        secure = credentials(self._settings) if self._settings.ssl_certfile else None
        try:
            return server.add_secure_port(address, secure) if secure else server.add_insecure_port(address)
        except RuntimeError as error:
            raise SettingError(f"gRPC cannot listen on {address}: {error}") from error

    def _protocol(self) -> Any:
        make = self._handlers(INFERENCE_SERVICE)
        handlers = {
            name: make.unary(name, operation, keyed=name not in PROBES)
            for name, operation in self._operations.table().items()
        }
        handlers["ModelInfer"] = make.unary("ModelInfer", self._inference.infer, keyed=True)
        handlers["ModelStreamInfer"] = make.stream("ModelStreamInfer", self._infer_stream, keyed=True)
        return grpc.method_handlers_generic_handler(INFERENCE_SERVICE, handlers)

    def _health_service(self) -> Any:
        make = self._handlers(HEALTH_SERVICE)
        check = make.unary("Check", self._health.check, keyed=False)
        watch = make.stream("Watch", self._watch, keyed=False)
        return grpc.method_handlers_generic_handler(HEALTH_SERVICE, {"Check": check, "Watch": watch})

    def _handlers(self, service: str) -> Handlers:
        return Handlers(service, self._callers, self._settings.body_timeout_s)

    async def _infer_stream(self, caller: Caller) -> None:
        await self._streams.serve(caller, self._inference.stream_infer)

    async def _watch(self, caller: Caller) -> None:
        await self._health.watch(await read_whole(caller.context, self._settings.body_timeout_s), caller)
