"""Requests that differ in nothing but their raw tensors are read once.

A client that sends frame after frame sends the same bytes before each frame's. What those say is kept, by their bytes; of a
request that begins with them only the tensors are new, and these are used where they lie. A request that has an id, which
clients tend to count up, is read as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from joulebox.grpc.messages import ModelInferRequest
from joulebox.grpc.wire import RAW_INPUT, length_of
from joulebox.oip.call import Call, Output
from joulebox.oip.tensors import from_raw
from joulebox.package import TensorSpec
from joulebox.runtime.model import Model

KEPT_MAX = 128  # headers, and each no longer than
HEADER_BYTES_MAX = 4096
LOOKED_AT = (np.dtype(bool), np.dtype(object))  # BOOL and BYTES
LENGTHS_MAX = 4  # of headers that are tried on requests of one size


@dataclass(frozen=True, slots=True)
class _Tensor:
    spec: TensorSpec
    shape: tuple[int, ...]
    before: bytes
    """The tag and length before its content, which begins and ends here:"""
    begin: int
    end: int
    dtype: np.dtype[Any] | None
    """Of values that may be any bits; None where they have to be looked at."""

    def array(self, raw: bytes) -> NDArray[Any]:
        """The tensor, where it lies in the request.

        Raises:
            BadRequest: its values are not what its datatype has.
        """
        if self.dtype is None:
            return from_raw(self.spec, self.shape, memoryview(raw)[self.begin : self.end])
        array: NDArray[Any] = np.ndarray(self.shape, self.dtype, raw, self.begin)
        return array if array.flags.aligned else np.array(array)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a header says, and where the tensors behind it lie."""

    model_name: str
    model_version: str | None
    model: ReferenceType[Model]
    size: int
    tensors: tuple[_Tensor, ...]
    outputs: tuple[Output, ...]
    timeout_s: float | None
    parameters: Mapping[str, Any]

    def fits(self, raw: bytes) -> bool:
        """Whether the request, which begins with the header, has tensors of these sizes behind it, and nothing else."""
        return len(raw) == self.size and all(
            raw.startswith(tensor.before, tensor.begin - len(tensor.before)) for tensor in self.tensors
        )

    def call(self, raw: bytes) -> Call:
        """The request's call.

        Raises:
            BadRequest: a tensor's values are not what its datatype has.
        """
        inputs = {each.spec.name: each.array(raw) for each in self.tensors}
        return Call("", inputs, self.outputs, self.timeout_s, dict(self.parameters))


class KeptRequests:
    """What was read of requests, of the last few kinds."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}
        self._lengths: dict[int, tuple[int, ...]] = {}

    def find(self, raw: bytes) -> Kept | None:
        """What is known of a request; None where it has to be read."""
        for length in self._lengths.get(len(raw), ()):
            kept = self._kept.get(raw[:length])
            if kept is not None and kept.fits(raw):
                return kept
        return None

    def keep(self, raw: bytes, request: Any, model: Model, call: Call) -> None:
        """Notes what was read, where all inputs are raw and nothing is in shared memory. The message is used up."""
        if call.id or any(output.slot for output in call.outputs):
            return
        sizes = [len(content) for content in request.raw_input_contents]
        if len(sizes) != len(call.inputs):
            return
        tags = [length_of(RAW_INPUT, size) for size in sizes]
        begin = len(raw) - sum(sizes) - sum(map(len, tags))
        header = raw[: max(begin, 0)]
        if len(header) > HEADER_BYTES_MAX or not _is_header(header, request):
            return
        tensors: list[_Tensor] = []
        for (name, array), tag, size in zip(call.inputs.items(), tags, sizes, strict=True):
            begin += len(tag)
            dtype = None if array.dtype in LOOKED_AT else array.dtype
            tensors.append(_Tensor(_spec(model, name), array.shape, tag, begin, begin + size, dtype))
            begin += size
        version = request.model_version or None
        kept = Kept(
            model.name, version, ref(model), len(raw), tuple(tensors), call.outputs, call.timeout_s, call.parameters
        )
        if kept.fits(raw):
            self._note(header, kept)

    def _note(self, header: bytes, kept: Kept) -> None:
        if len(self._kept) >= KEPT_MAX or len(self._lengths) >= KEPT_MAX:
            self._kept.clear()
            self._lengths.clear()
        self._kept[header] = kept
        lengths = self._lengths.get(kept.size, ())
        if len(header) not in lengths:
            self._lengths[kept.size] = (len(header), *lengths)[:LENGTHS_MAX]


def _is_header(header: bytes, request: Any) -> bool:
    """Whether these bytes are the request, whole but for its raw tensors, which it loses here."""
    request.ClearField("raw_input_contents")
    try:
        return ModelInferRequest.FromString(header) == request
    except DecodeError:
        return False


def _spec(model: Model, name: str) -> TensorSpec:
    return next(spec for spec in model.package.manifest.inputs if spec.name == name)
