"""Inference requests and answers of the protocol's REST form: JSON, raw tensors after the JSON, or both.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

Clients that send raw tensors send the same JSON again and again, so what it says is kept, by its bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import orjson
from numpy.typing import NDArray

from joulebox.engine.datatypes import NUMPY
from joulebox.http.exchange import json_object
from joulebox.oip.call import Answer, Call, Output, check_inputs, classes_of, input_spec, output_spec, timeout_of
from joulebox.oip.slots import slot_of, steady
from joulebox.oip.tensors import LENGTH_BYTES, check_shape, from_json, from_raw, to_json, to_raw
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.model import Model
from joulebox.runtime.regions import Regions

KEPT_MAX = 128  # headers, and each no longer than
KEPT_BYTES_MAX = 4096
ID_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Raw:
    """An input that lies in the body, after the JSON."""

    spec: TensorSpec
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Header:
    """What the JSON in front of raw tensors says."""

    id: str
    inputs: tuple[_Raw, ...]
    outputs: tuple[Output, ...]
    timeout_s: float | None
    raw_bytes: int


class Codec:
    """Reads and writes for one model."""

    def __init__(self, model: Model, regions: Regions) -> None:
        self._name, self._version = model.name, model.version  # not the model: codecs go when it does
        self._manifest = model.package.manifest
        self._regions = regions
        self._kept: dict[bytes, _Header] = {}
        self._everything = tuple(Output(spec) for spec in self._manifest.outputs)
        self._everything_raw = tuple(Output(spec, binary=True) for spec in self._manifest.outputs)

    def decode(self, body: bytes, header_bytes: int | None) -> Call:
        """The call in a request's body.

        Args:
            header_bytes: how many of the body are JSON; None where all are, 0 where none is and the body is the one
                input's tensor.

        Raises:
            BadRequest: it is malformed, or not what the model takes.
            NotFound: a shared memory region is not registered.
        """
        if header_bytes is None:
            return self._read(json_object(body), memoryview(b""))
        if header_bytes == 0:
            return self._bare(body)
        if header_bytes > len(body):
            raise BadRequest(
                f"unexpected inference header content length {header_bytes}; the request body has {len(body)} bytes"
            )
        head, raw = body[:header_bytes], memoryview(body)[header_bytes:]
        header = self._kept.get(head)
        if header is None:
            content = json_object(head)
            header = self._header(content)
            if header is None:
                return self._read(content, raw)
            self._keep(head, header)
        if header.raw_bytes != len(raw):
            raise _unexpected_size(len(raw), header.raw_bytes)
        inputs = {each.spec.name: from_raw(each.spec, each.shape, raw[each.begin : each.end]) for each in header.inputs}
        return Call(header.id, inputs, header.outputs, header.timeout_s)

    def _keep(self, head: bytes, header: _Header) -> None:
        if len(head) > KEPT_BYTES_MAX:
            return
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[head] = header

    def encode(self, call: Call, answer: Answer, energy: dict[str, Any] | None) -> tuple[bytes, int | None]:
        """The answer's body, and how many of its bytes are JSON where tensors follow.

        Raises:
            BadRequest: a tensor cannot be said as JSON, or does not fit into its shared memory.
        """
        outputs: list[dict[str, Any]] = []
        raws: list[bytes] = []
        for output, datatype, array in answer.tensors:
            entry: dict[str, Any] = {"name": output.spec.name, "datatype": datatype, "shape": array.shape}
            if output.slot is not None:
                raw, slot = to_raw(array), output.slot
                self._regions.write(slot.region, slot.offset, slot.byte_size, raw, output=output.spec.name)
                entry["parameters"] = {
                    "shared_memory_region": slot.region,
                    "shared_memory_offset": slot.offset,
                    "shared_memory_byte_size": len(raw),
                }
            elif output.binary:
                raw = to_raw(array)
                raws.append(raw)
                entry["parameters"] = {"binary_data_size": len(raw)}
            else:
                entry["data"] = to_json(output.spec.name, array)
            outputs.append(entry)
        content: dict[str, Any] = {"model_name": self._name, "model_version": self._version}
        if call.id:
            content["id"] = call.id
        if energy is not None:
            content["parameters"] = energy
        content["outputs"] = outputs
        head = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        return (b"".join((head, *raws)), len(head)) if raws else (head, None)

    def _header(self, content: dict[str, Any]) -> _Header | None:
        """What can be kept of the JSON; None where it holds tensors itself, or points to shared memory."""
        inputs: list[_Raw] = []
        begin = 0
        for tensor in _objects(content, "inputs"):
            size = _parameters(tensor).get("binary_data_size")
            if size is None:
                return None
            spec, shape = self._tensor(tensor)
            end = begin + _size(f"input {spec.name!r}: binary_data_size", size)
            inputs.append(_Raw(spec, shape, begin, end))
            begin = end
        self._check_batch({each.spec.name: each.shape for each in inputs}, len(inputs))
        outputs = self._outputs(content)
        if any(output.slot is not None for output in outputs):
            return None
        return _Header(_id(content), tuple(inputs), outputs, timeout_of(_parameters(content)), begin)

    def _check_batch(self, shapes: dict[str, tuple[int, ...]], count: int) -> None:
        if len(shapes) != count or len(shapes) != len(self._manifest.inputs):
            raise BadRequest(
                f"expected {len(self._manifest.inputs)} inputs but got {count} inputs for model {self._name!r}"
            )
        if self._manifest.batched and len({shape[0] for shape in shapes.values()}) > 1:
            raise BadRequest(f"inputs of model {self._name!r} have different batch sizes: {shapes}")

    def _read(self, content: dict[str, Any], raw: memoryview) -> Call:
        """A call whose tensors lie in the JSON, in shared memory or, some of them, behind."""
        inputs: dict[str, NDArray[Any]] = {}
        begin = 0
        for tensor in _objects(content, "inputs"):
            spec, shape = self._tensor(tensor)
            if spec.name in inputs:
                raise BadRequest(f"input {spec.name!r} is given twice")
            parameters = _parameters(tensor)
            slot = slot_of(spec.name, parameters)
            if slot is not None:
                content_bytes = self._regions.read(slot.region, slot.offset, slot.byte_size)
                inputs[spec.name] = from_raw(spec, shape, steady(spec, content_bytes))
            elif "binary_data_size" in parameters:
                end = begin + _size(f"input {spec.name!r}: binary_data_size", parameters["binary_data_size"])
                inputs[spec.name] = from_raw(spec, shape, raw[begin:end])
                begin = end
            else:
                inputs[spec.name] = from_json(spec, shape, tensor.get("data"))
        if begin != len(raw):
            raise _unexpected_size(len(raw), begin)
        check_inputs(self._name, self._manifest, inputs)
        outputs = self._outputs(content)
        for output in outputs:
            if output.slot is not None:
                self._regions.check(output.slot.region, output.slot.offset, output.slot.byte_size)
        return Call(_id(content), inputs, outputs, timeout_of(_parameters(content)))

    def _bare(self, body: bytes) -> Call:
        """The body is the tensor of the only input, or the one string of it, and all outputs are wanted raw.

        As in Triton it is one item where a second dimension is free; with the batch size alone free it may be several.
        """
        spec, sizes = self._manifest.inputs[0], list(self._manifest.inputs[0].shape)
        if self._manifest.batched and (sizes.count(-1) > 1 or spec.datatype == "BYTES"):
            sizes[0] = 1
        free = sizes.count(-1)
        if len(self._manifest.inputs) > 1 or free > 1 or (spec.datatype == "BYTES" and {*sizes} - {1}):
            raise BadRequest(
                f"a raw request needs a model with one input whose shape follows from its size; {self._name!r} has {len(self._manifest.inputs)}"
                f" inputs, the first {spec.datatype} of shape {spec.shape}"
            )
        if spec.datatype == "BYTES":
            body = len(body).to_bytes(LENGTH_BYTES, "little") + body
        elif free:
            fixed = math.prod(size for size in sizes if size != -1) * NUMPY[spec.datatype].itemsize
            sizes[sizes.index(-1)] = len(body) // fixed
        return Call("", {spec.name: from_raw(spec, check_shape(self._name, spec, sizes), body)}, self._everything_raw)

    def _tensor(self, tensor: dict[str, Any]) -> tuple[TensorSpec, tuple[int, ...]]:
        spec = input_spec(self._name, self._manifest, tensor.get("name"), tensor.get("datatype"))
        return spec, check_shape(self._name, spec, tensor.get("shape"))

    def _outputs(self, content: dict[str, Any]) -> tuple[Output, ...]:
        binary = _flag(_parameters(content), "binary_data_output", default=False)
        if not content.get("outputs"):
            return self._everything_raw if binary else self._everything
        outputs: list[Output] = []
        for entry in _objects(content, "outputs"):
            parameters = _parameters(entry)
            spec = output_spec(self._name, self._manifest, entry.get("name"))
            asked = Output(
                spec,
                _flag(parameters, "binary_data", default=binary),
                classes_of(parameters),
                slot_of(spec.name, parameters),
            )
            outputs.append(asked)
        if len({output.spec.name for output in outputs}) != len(outputs):
            raise BadRequest("an output is asked for twice")
        return tuple(outputs)


def _objects(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found: Any = content.get(key)
    entries = cast("list[Any]", found if isinstance(found, list) else [found])
    if entries is not found or not all(isinstance(each, dict) for each in entries):
        raise BadRequest(f"{key} is {str(cast('Any', found))[:80]!r}; expected a list of objects")
    return entries


def _parameters(content: dict[str, Any]) -> dict[str, Any]:
    parameters: Any = content.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadRequest(f"parameters is {str(parameters)[:80]!r}; expected an object")
    return cast("dict[str, Any]", parameters)


def _id(content: dict[str, Any]) -> str:
    identifier: Any = content.get("id", "")
    if not isinstance(identifier, str) or len(identifier) > ID_MAX:
        raise BadRequest(f"id is {str(identifier)[:80]!r}; expected a string of at most {ID_MAX} characters")
    return identifier


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} is {str(value)[:80]!r}; expected true or false")
    return value


def _size(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise BadRequest(f"{name} is {str(value)[:80]!r}; expected a whole number of bytes")
    return value


def _unexpected_size(actual: int, expected: int) -> BadRequest:
    return BadRequest(f"unexpected size of the raw tensors: the body has {actual} bytes of them, expecting {expected}")
