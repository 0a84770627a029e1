"""Typed `contents` of an input: the values in the message's field for their datatype, instead of raw bytes."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from joulebox.oip.tensors import from_values
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}  # FP16 has none
DATATYPES = {
    "bool_contents": "BOOL",
    "int_contents": "INT32",
    "int64_contents": "INT64",
    "uint_contents": "UINT32",
    "uint64_contents": "UINT64",
    "fp32_contents": "FP32",
    "fp64_contents": "FP64",
    "bytes_contents": "BYTES",
}  # as Triton names a field's datatype in its errors


def from_contents(model: str, spec: TensorSpec, shape: tuple[int, ...], contents: Any) -> NDArray[Any]:
    """The tensor from its typed contents.

    Args:
        shape: as `check_shape` gave it.
        contents: an `InferTensorContents`.

    Raises:
        BadRequest: the values are in another datatype's field, in several, not as many as the shape says, or too large.
    """
    where = f"unexpected explicit tensor data for input tensor '{spec.name}' for model '{model}'"
    given = [descriptor.name for descriptor, _ in contents.ListFields()]
    for name in given:
        if name != FIELDS.get(spec.datatype):
            raise BadRequest(f"{where} of type '{DATATYPES[name]}', expected datatype '{spec.datatype}'")
    if not given:
        raise BadRequest(f"unable to find data for input tensor '{spec.name}' for model '{model}' in request.")
    return from_values(spec, shape, getattr(contents, given[0]))
