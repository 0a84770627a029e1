"""Where in shared memory a tensor lies or goes, of its parameters; the texts of errors are Triton's (`grpc_utils.h`)."""

from __future__ import annotations

from typing import Any

from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.regions import Slot

FLOATS = {"FP16", "FP32", "FP64"}
REGION, OFFSET, BYTE_SIZE = "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"


def slot_of(tensor: str, parameters: dict[str, Any]) -> Slot | None:
    """The slot; None where the parameters name none. Whether it exists, the regions say.

    Raises:
        BadRequest: a parameter is of another type, missing, or without a region.
    """
    region = parameters.get(REGION)
    if region is None:
        for name in (OFFSET, BYTE_SIZE):
            if name in parameters:
                raise BadRequest(f"'{name}' can not be specified without '{REGION}' parameter for tensor '{tensor}'")
        return None
    if not isinstance(region, str):
        raise BadRequest(f"invalid value type for '{REGION}' parameter for tensor '{tensor}', expected string_param.")
    if BYTE_SIZE not in parameters:
        raise BadRequest(f"'{BYTE_SIZE}' must be specified along with '{REGION}' parameter for tensor '{tensor}'")
    return Slot(region, _size(tensor, parameters, OFFSET), _size(tensor, parameters, BYTE_SIZE))


def steady(spec: TensorSpec, content: memoryview) -> bytes | memoryview:
    """Any bits are good floats; of what the client could still change, others are copied before they are looked at."""
    return content if spec.datatype in FLOATS else bytes(content)


def _size(tensor: str, parameters: dict[str, Any], name: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int:
        raise BadRequest(f"invalid value type for '{name}' parameter for tensor '{tensor}', expected int64_param.")
    return value
