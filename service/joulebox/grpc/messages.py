"""The protocol's messages, as classes of protobuf.

They live in a descriptor pool of their own: whoever has `tritonclient`'s in the same process, under the same names, has no
conflict. The same bytes go over the wire.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from joulebox.runtime.errors import BadRequest

DESCRIPTORS = "messages.binpb"  # the .proto files beside it, compiled


def _load_pool() -> Any:
    pool: Any = descriptor_pool.DescriptorPool()
    found: Any = descriptor_pb2.FileDescriptorSet  # pyright: ignore[reportAttributeAccessIssue]  # made at run time
    for file in found.FromString(files("joulebox.grpc").joinpath(DESCRIPTORS).read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL: Any = _load_pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def _inference(name: str) -> Any:
    return _message(f"inference.{name}")


INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"

ServerLiveRequest: Any = _inference("ServerLiveRequest")
ServerLiveResponse: Any = _inference("ServerLiveResponse")
ServerReadyRequest: Any = _inference("ServerReadyRequest")
ServerReadyResponse: Any = _inference("ServerReadyResponse")
ServerMetadataRequest: Any = _inference("ServerMetadataRequest")
ServerMetadataResponse: Any = _inference("ServerMetadataResponse")
ModelReadyRequest: Any = _inference("ModelReadyRequest")
ModelReadyResponse: Any = _inference("ModelReadyResponse")
ModelMetadataRequest: Any = _inference("ModelMetadataRequest")
ModelMetadataResponse: Any = _inference("ModelMetadataResponse")
ModelConfigRequest: Any = _inference("ModelConfigRequest")
ModelConfigResponse: Any = _inference("ModelConfigResponse")
ModelStatisticsRequest: Any = _inference("ModelStatisticsRequest")
ModelStatisticsResponse: Any = _inference("ModelStatisticsResponse")
ModelInferRequest: Any = _inference("ModelInferRequest")
ModelInferResponse: Any = _inference("ModelInferResponse")
ModelStreamInferResponse: Any = _inference("ModelStreamInferResponse")
InferParameter: Any = _inference("InferParameter")
InferTensorContents: Any = _inference("InferTensorContents")
RepositoryIndexRequest: Any = _inference("RepositoryIndexRequest")
RepositoryIndexResponse: Any = _inference("RepositoryIndexResponse")
RepositoryModelLoadRequest: Any = _inference("RepositoryModelLoadRequest")
RepositoryModelLoadResponse: Any = _inference("RepositoryModelLoadResponse")
RepositoryModelUnloadRequest: Any = _inference("RepositoryModelUnloadRequest")
RepositoryModelUnloadResponse: Any = _inference("RepositoryModelUnloadResponse")
SystemSharedMemoryStatusRequest: Any = _inference("SystemSharedMemoryStatusRequest")
SystemSharedMemoryStatusResponse: Any = _inference("SystemSharedMemoryStatusResponse")
SystemSharedMemoryRegisterRequest: Any = _inference("SystemSharedMemoryRegisterRequest")
SystemSharedMemoryRegisterResponse: Any = _inference("SystemSharedMemoryRegisterResponse")
SystemSharedMemoryUnregisterRequest: Any = _inference("SystemSharedMemoryUnregisterRequest")
SystemSharedMemoryUnregisterResponse: Any = _inference("SystemSharedMemoryUnregisterResponse")

HealthCheckRequest: Any = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse: Any = _message("grpc.health.v1.HealthCheckResponse")


def parse(kind: Any, raw: bytes) -> Any:
    """The message of that class.

    Raises:
        BadRequest: the bytes are none.
    """
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise BadRequest(
            f"the request is no {kind.DESCRIPTOR.full_name}: {len(raw)} bytes that protobuf cannot read"
        ) from error
