"""Tensors of a request, held against what the model takes before anything computes on them.

Raw tensors are row-major and little-endian; a BYTES element is its length in 4 bytes, little-endian, then its content
(https://github.com/kserve/open-inference-protocol, binary tensor data extension). Texts of errors follow Triton's where
its clients' users know them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from joulebox.engine.datatypes import NUMPY
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest

ELEMENTS_MAX = 2**26  # of one tensor: bounds what a request of few bytes can make the server allocate
RANK_MAX = 32
LENGTH_BYTES = 4
BROAD = {"b": np.dtype(np.bool_), "i": np.dtype(np.int64), "u": np.dtype(np.uint64), "f": np.dtype(np.float64)}
"""By a datatype's kind, what all its values fit into: left to itself, NumPy makes floats of 1 and 2**63, and of one long text
among many short ones an array of their product."""
TAKES = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}}  # of JSON values


def check_shape(model: str, spec: TensorSpec, shape: Any) -> tuple[int, ...]:
    """The shape, if the tensor takes it.

    Raises:
        BadRequest: it is no shape, does not fit, or holds nothing or too much.
    """
    sizes = cast("Sequence[Any]", shape)
    if not isinstance(shape, (list, tuple)) or len(sizes) > RANK_MAX:
        raise BadRequest(f"input {spec.name!r} has shape {str(sizes)[:80]}; expected a list such as {spec.shape}")
    fits, count = len(sizes) == len(spec.shape), 1
    for size in sizes:
        if type(size) is not int or size < 0:
            raise BadRequest(f"input {spec.name!r} has shape {str(sizes)[:80]}; sizes are whole numbers from 0 up")
        count *= size
    if not fits or any(want not in (-1, size) for size, want in zip(sizes, spec.shape, strict=True)):
        raise BadRequest(
            f"unexpected shape for input {spec.name!r} for model {model!r}. Expected {_brackets(spec.shape)}, got {_brackets(sizes)}"
        )
    if count == 0:
        raise BadRequest(
            f"input {spec.name!r} for model {model!r} has shape {_brackets(sizes)}, which holds nothing; send at least one item"
        )
    if count > ELEMENTS_MAX:
        raise BadRequest(
            f"input {spec.name!r} has shape {_brackets(sizes)}, {count} elements; at most {ELEMENTS_MAX} are taken"
        )
    return tuple(sizes)


def from_raw(spec: TensorSpec, shape: tuple[int, ...], raw: bytes | memoryview) -> NDArray[Any]:
    """The tensor from its bytes, without a copy where they lie as its elements have to.

    Args:
        shape: as `check_shape` gave it.

    Raises:
        BadRequest: the bytes are not as many as shape and datatype say, or no such values.
    """
    if spec.datatype == "BYTES":
        return _from_lengths(spec, shape, raw)
    dtype = NUMPY[spec.datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise BadRequest(f"unexpected total byte size {len(raw)} for input {spec.name!r}, expecting {expected}")
    flat: Any = np.frombuffer(raw, dtype)
    array: NDArray[Any] = flat.reshape(shape)  # the method: the function of that name costs a microsecond more
    if spec.datatype == "BOOL" and np.frombuffer(raw, np.uint8).max() > 1:
        raise BadRequest(f"input {spec.name!r} has a BOOL that is neither 0 nor 1")
    return array if array.flags.aligned else np.array(array)


def _from_lengths(spec: TensorSpec, shape: tuple[int, ...], raw: bytes | memoryview) -> NDArray[Any]:
    count, view, offset = math.prod(shape), memoryview(raw), 0
    if len(view) < LENGTH_BYTES * count:
        raise BadRequest(
            f"unexpected total byte size {len(view)} for input {spec.name!r}, expecting {count} BYTES elements"
        )
    array = np.empty(count, dtype=object)
    for index in range(count):
        begin = offset + LENGTH_BYTES
        length = int.from_bytes(view[offset:begin], "little")
        offset = begin + length
        if begin > len(view) or offset > len(view):
            raise BadRequest(f"incomplete BYTES element {index} of input {spec.name!r}: {length} bytes are announced")
        array[index] = _text(spec, view[begin:offset])
    if offset != len(view):
        raise BadRequest(
            f"unexpected total byte size {len(view)} for input {spec.name!r}, expecting {offset} for {count} BYTES elements"
        )
    return np.reshape(array, shape)


def _text(spec: TensorSpec, content: bytes | memoryview) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"input {spec.name!r} has a BYTES element that is not UTF-8: {error.reason}") from error


def from_values(spec: TensorSpec, shape: tuple[int, ...], values: Sequence[Any]) -> NDArray[Any]:
    """The tensor from a flat sequence of Python values (of gRPC's typed contents), `bytes` for BYTES.

    Raises:
        BadRequest: there are not as many as the shape says, or the datatype cannot hold one.
    """
    if len(values) != math.prod(shape):
        raise BadRequest(f"input {spec.name!r} has {len(values)} values; expected {math.prod(shape)}")
    if spec.datatype == "BYTES":
        array = np.empty(len(values), dtype=object)
        array[:] = [_text(spec, value) for value in values]
        return np.reshape(array, shape)
    try:
        array = np.asarray(values, BROAD[NUMPY[spec.datatype].kind])
    except OverflowError as error:
        raise _outside(spec) from error
    return np.reshape(_narrow(spec, array), shape)


def from_json(spec: TensorSpec, shape: tuple[int, ...], data: Any) -> NDArray[Any]:
    """The tensor from JSON values, flat in row-major order or nested.

    Args:
        shape: as `check_shape` gave it.

    Raises:
        BadRequest: the data is not what shape and datatype say.
    """
    if not isinstance(data, list):
        raise BadRequest(
            f"input {spec.name!r} has data of type {type(data).__name__}; expected a list of {spec.datatype} values"
        )
    if spec.datatype == "BYTES":
        return _strings(spec, cast("list[Any]", data), shape)
    return np.reshape(_narrow(spec, _numbers(spec, cast("list[Any]", data), shape)), shape)


def _numbers(spec: TensorSpec, data: list[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The values as JSON has them, in the broadest of the datatype's kind."""
    kind = NUMPY[spec.datatype].kind
    first = _first(data)
    if type(first) not in TAKES[kind]:
        raise _wrong(spec, first)
    try:
        array = np.asarray(data, BROAD[kind])
    except OverflowError as error:
        raise _outside(spec) from error
    except (ValueError, TypeError) as error:
        raise BadRequest(
            f"input {spec.name!r} has data that is ragged or not {spec.datatype}; expected {math.prod(shape)} values of shape {_brackets(shape)}, flat or nested"
        ) from error
    if array.size != math.prod(shape) or (array.ndim != 1 and array.shape != shape):
        raise BadRequest(
            f"input {spec.name!r} has {array.size} values in shape {_brackets(array.shape)};"
            f" expected {math.prod(shape)} for shape {_brackets(shape)}"
        )
    if kind == "f":
        if not np.isfinite(array).all():
            raise _wrong(spec, None)
        _check_numbers(spec, data, array.ndim)
    else:  # these NumPy takes from other types too, and cuts
        _check_types(spec, data, array.ndim, TAKES[kind])
    return array


def _first(data: list[Any]) -> Any:
    first: Any = data
    while first and type(first) is list:
        first = cast("Any", first[0])
    return first


def _check_numbers(spec: TensorSpec, data: list[Any], rank: int) -> None:
    """NumPy reads floats from strings too; adding up, which does not, finds them in a tenth of the time that types take."""
    try:
        sum(_flat(data, rank))
    except TypeError as error:
        raise _wrong(spec, next(value for value in _flat(data, rank) if isinstance(value, str))) from error


def _flat(data: list[Any], rank: int) -> list[Any]:
    for _ in range(rank - 1):
        data = list(chain.from_iterable(data))
    return data


def _check_types(spec: TensorSpec, data: list[Any], rank: int, takes: set[type]) -> None:
    values = _flat(data, rank)
    if not set(map(type, values)) <= takes:
        raise _wrong(spec, next(value for value in values if type(value) not in takes))


def _wrong(spec: TensorSpec, value: Any) -> BadRequest:
    return BadRequest(f"input {spec.name!r} has data that is not {spec.datatype}, such as {value!r:.40}")


def _outside(spec: TensorSpec) -> BadRequest:
    return BadRequest(f"input {spec.name!r} has a value outside {spec.datatype}")


def _narrow(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """To the datatype, refusing what it cannot hold."""
    dtype = NUMPY[spec.datatype]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise _outside(spec)
        return array.astype(dtype, copy=False)
    if dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize:
        with np.errstate(over="ignore"):
            narrowed = array.astype(dtype)
        if (np.isfinite(array) & ~np.isfinite(narrowed)).any():
            raise _outside(spec)
        return narrowed
    return array.astype(dtype, copy=False)


def _strings(spec: TensorSpec, data: list[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    flat = data
    for _ in shape[1:]:
        if flat and isinstance(flat[0], list):
            if not all(isinstance(part, list) for part in flat):
                raise BadRequest(f"input {spec.name!r} has ragged data; expected strings, flat or nested")
            flat = [value for part in flat for value in part]
    if len(flat) != math.prod(shape) or not all(isinstance(value, str) for value in flat):
        raise BadRequest(
            f"input {spec.name!r} has {len(flat)} values; expected {math.prod(shape)} strings for shape {_brackets(shape)}"
        )
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return np.reshape(array, shape)


def to_raw(array: NDArray[Any]) -> bytes:
    """The tensor's bytes; strings with their lengths before them."""
    if array.dtype.kind not in "OSU":
        return array.tobytes()
    parts: list[bytes] = []
    for value in array.ravel():
        content = value.encode() if isinstance(value, str) else bytes(value)
        parts += (len(content).to_bytes(LENGTH_BYTES, "little"), content)
    return b"".join(parts)


def to_json(name: str, array: NDArray[Any]) -> Any:
    """The tensor's values, flat, as orjson writes them.

    Raises:
        BadRequest: a value is NaN or infinite, which JSON cannot say.
    """
    kind = array.dtype.kind
    if kind == "f" and not np.isfinite(array).all():
        raise BadRequest(
            f"output {name!r} holds NaN or infinity, which JSON cannot say; ask for it with binary_data true"
        )
    flat = array.ravel()
    if kind in "OSU":
        return [value if isinstance(value, str) else bytes(value).decode(errors="replace") for value in flat]
    return flat.astype(np.float32) if array.dtype == np.float16 else flat


def _brackets(shape: Sequence[int]) -> str:
    """A shape as Triton writes it."""
    return "[" + ",".join(map(str, shape)) + "]"
