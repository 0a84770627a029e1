"""Tensors of a request, held against what the manifest says before anything computes on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from joulebox.engine.datatypes import NUMPY
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest

ELEMENTS_MAX = 2**26  # of one tensor: bounds what a request of few bytes can make the server allocate
RANK_MAX = 32
KINDS = {
    "BOOL": "b",
    "FP16": "iuf",
    "FP32": "iuf",
    "FP64": "iuf",
}  # kinds of JSON numbers that a datatype takes; others: integers


def check_shape(spec: TensorSpec, shape: Any) -> list[int]:
    """The shape, if the tensor takes it.

    Raises:
        BadRequest: it is no shape, or does not fit.
    """
    where = f"input {spec.name!r}"
    if not isinstance(shape, list) or len(cast("list[Any]", shape)) > RANK_MAX:
        raise BadRequest(f"{where} has shape {str(cast('Any', shape))[:80]}; expected a list such as {spec.shape}")
    sizes = cast("list[Any]", shape)
    for size in sizes:
        if type(size) is not int or size < 0:
            raise BadRequest(f"{where} has shape {str(sizes)[:80]}; sizes are whole numbers from 0 up")
    if len(sizes) != len(spec.shape) or any(
        want not in (-1, size) for size, want in zip(sizes, spec.shape, strict=True)
    ):
        raise BadRequest(f"{where} has shape {sizes}; expected {spec.shape} (-1 is any size)")
    count = math.prod(sizes)
    if count == 0:
        raise BadRequest(f"{where} has shape {sizes}, which holds nothing; send at least one sample")
    if count > ELEMENTS_MAX:
        raise BadRequest(f"{where} has shape {sizes}, {count} elements; at most {ELEMENTS_MAX} are taken")
    return cast("list[int]", sizes)


def from_json(spec: TensorSpec, shape: Any, data: Any) -> NDArray[Any]:
    """The tensor from JSON numbers, flat in row-major order or nested.

    Raises:
        BadRequest: the data is not what shape and datatype say.
    """
    sizes = check_shape(spec, shape)
    where = f"input {spec.name!r}"
    if not isinstance(data, list):
        raise BadRequest(f"{where} has data of type {type(data).__name__}; expected a list of {spec.datatype} values")
    if spec.datatype == "BYTES":
        return _strings(where, cast("list[Any]", data), sizes)
    try:
        array: NDArray[Any] = np.asarray(cast("Any", data))
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{where} has ragged data; expected {math.prod(sizes)} values of shape {sizes}, flat or nested"
        ) from error
    if array.dtype.kind not in KINDS.get(spec.datatype, "iu"):
        raise BadRequest(f"{where} has data that is not {spec.datatype}, such as {str(array.ravel()[:1])[:40]}")
    if array.size != math.prod(sizes) or (array.ndim != 1 and list(array.shape) != sizes):
        raise BadRequest(
            f"{where} has {array.size} values in shape {list(array.shape)}; expected {math.prod(sizes)} for shape {sizes}"
        )
    return np.reshape(_narrow(where, array, spec), tuple(sizes))


def _narrow(where: str, array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """To the datatype, refusing what it cannot hold."""
    dtype = NUMPY[spec.datatype]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise BadRequest(f"{where} has a value outside {spec.datatype} ({limits.min} to {limits.max})")
    with np.errstate(over="ignore"):
        narrowed = array.astype(dtype)
    if dtype.kind == "f" and not np.isfinite(narrowed).all():
        raise BadRequest(f"{where} has a value that {spec.datatype} cannot hold")
    return narrowed


def _strings(where: str, data: Sequence[Any], sizes: list[int]) -> NDArray[Any]:
    flat = list(data)
    for _ in sizes[1:]:
        if flat and isinstance(flat[0], list):
            if not all(isinstance(part, list) for part in flat):
                raise BadRequest(f"{where} has ragged data; expected strings of shape {sizes}, flat or nested")
            flat = [value for part in flat for value in part]
    if len(flat) != math.prod(sizes) or not all(isinstance(value, str) for value in flat):
        raise BadRequest(f"{where} has {len(flat)} values; expected {math.prod(sizes)} strings for shape {sizes}")
    return np.reshape(np.array(flat, dtype=object), tuple(sizes))
