"""The protocol's operations but inference: each takes a request's bytes and gives its answer's."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from joulebox.grpc import messages
from joulebox.grpc.callers import Caller, Callers
from joulebox.grpc.handlers import Operation
from joulebox.grpc.messages import parse
from joulebox.oip.dataplane import Dataplane
from joulebox.runtime.errors import NotFound, Unsupported

UNDONE = {
    "CudaSharedMemoryStatus": "CUDA shared memory is not supported by this server",
    "CudaSharedMemoryRegister": "CUDA shared memory is not supported by this server",
    "CudaSharedMemoryUnregister": "CUDA shared memory is not supported by this server",
    "TraceSetting": "trace settings are not supported by this server",
    "LogSettings": "log settings are not supported by this server; JOULEBOX_LOG_FORMAT and JOULEBOX_ACCESS_LOG set them",
}


class Operations:
    """By their names in the protocol."""

    def __init__(self, dataplane: Dataplane, callers: Callers) -> None:
        self._dataplane = dataplane
        self._callers = callers

    def table(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
            "SystemSharedMemoryStatus": self._memory_status,
            "SystemSharedMemoryRegister": self._memory_register,
            "SystemSharedMemoryUnregister": self._memory_unregister,
            **{name: _undone(text) for name, text in UNDONE.items()},
        }

    async def _server_live(self, _raw: bytes, _caller: Caller) -> bytes:
        return messages.ServerLiveResponse(live=True).SerializeToString()

    async def _server_ready(self, _raw: bytes, _caller: Caller) -> bytes:
        return messages.ServerReadyResponse(ready=self._dataplane.ready).SerializeToString()

    async def _server_metadata(self, _raw: bytes, _caller: Caller) -> bytes:
        return messages.ServerMetadataResponse(**self._dataplane.server_metadata()).SerializeToString()

    async def _model_ready(self, raw: bytes, _caller: Caller) -> bytes:
        request = parse(messages.ModelReadyRequest, raw)
        try:
            ready = self._dataplane.model_ready(request.name, request.version or None)
        except NotFound:
            ready = False  # Triton's gRPC says so, where its REST answers with an error
        return messages.ModelReadyResponse(ready=ready).SerializeToString()

    async def _model_metadata(self, raw: bytes, _caller: Caller) -> bytes:
        request = parse(messages.ModelMetadataRequest, raw)
        metadata = self._dataplane.model_metadata(request.name, request.version or None)
        return _from_json(messages.ModelMetadataResponse, metadata)

    async def _model_config(self, raw: bytes, _caller: Caller) -> bytes:
        request = parse(messages.ModelConfigRequest, raw)
        config = self._dataplane.model_config(request.name, request.version or None)
        return _from_json(messages.ModelConfigResponse, {"config": config})

    async def _model_statistics(self, raw: bytes, _caller: Caller) -> bytes:
        request = parse(messages.ModelStatisticsRequest, raw)
        statistics = self._dataplane.statistics(request.name or None, request.version or None)
        return _from_json(messages.ModelStatisticsResponse, statistics)

    async def _index(self, raw: bytes, _caller: Caller) -> bytes:
        self._callers.control.check_open()
        request = parse(messages.RepositoryIndexRequest, raw)
        _check_repository(request)
        models = await self._dataplane.index(ready=request.ready)
        return _from_json(messages.RepositoryIndexResponse, {"models": models})

    async def _load(self, raw: bytes, caller: Caller) -> bytes:
        self._callers.control.check_repository(local=caller.local)
        request = parse(messages.RepositoryModelLoadRequest, raw)
        _check_repository(request)
        await self._dataplane.load(request.model_name, dict(request.parameters.items()))
        return messages.RepositoryModelLoadResponse().SerializeToString()

    async def _unload(self, raw: bytes, caller: Caller) -> bytes:
        self._callers.control.check_repository(local=caller.local)
        request = parse(messages.RepositoryModelUnloadRequest, raw)
        _check_repository(request)
        await self._dataplane.unload(request.model_name)
        return messages.RepositoryModelUnloadResponse().SerializeToString()

    async def _memory_status(self, raw: bytes, caller: Caller) -> bytes:
        self._callers.control.check_local("shared memory", local=caller.local)
        request = parse(messages.SystemSharedMemoryStatusRequest, raw)
        regions = self._dataplane.regions.status(request.name or None)
        named = {region["name"]: region for region in regions}
        return _from_json(messages.SystemSharedMemoryStatusResponse, {"regions": named})

    async def _memory_register(self, raw: bytes, caller: Caller) -> bytes:
        self._callers.control.check_local("shared memory", local=caller.local)
        request = parse(messages.SystemSharedMemoryRegisterRequest, raw)
        self._dataplane.regions.register(request.name, request.key, request.offset, request.byte_size)
        return messages.SystemSharedMemoryRegisterResponse().SerializeToString()

    async def _memory_unregister(self, raw: bytes, caller: Caller) -> bytes:
        self._callers.control.check_local("shared memory", local=caller.local)
        request = parse(messages.SystemSharedMemoryUnregisterRequest, raw)
        self._dataplane.regions.unregister(request.name or None)
        return messages.SystemSharedMemoryUnregisterResponse().SerializeToString()


def _undone(text: str) -> Operation:
    async def refuse(_raw: bytes, _caller: Caller) -> bytes:
        raise Unsupported(text)

    return refuse


def _check_repository(request: Any) -> None:
    if request.repository_name:
        raise Unsupported("'repository_name' specification is not supported")


def _from_json(kind: Any, content: dict[str, Any]) -> bytes:
    """The message of what REST answers; what the message has no field for is left out."""
    return json_format.ParseDict(content, kind(), ignore_unknown_fields=True).SerializeToString()
