"""From an answer to the bytes of a `ModelInferResponse`.

What answers of one shape have in common is written by protobuf, once; the tensors are put behind it as they are.
"""

from __future__ import annotations

import struct
from typing import Any

from joulebox.grpc.messages import ModelInferResponse
from joulebox.grpc.wire import INFER_RESPONSE, RAW_OUTPUT, RESPONSE_ID, length_of
from joulebox.oip.call import Answer
from joulebox.oip.tensors import to_raw
from joulebox.runtime.regions import Regions
from joulebox.runtime.sampler import Provisional

HEADS_MAX = 256
FINAL = "triton_final_response"


class Answers:
    """Writes answers."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._heads: dict[Any, bytes] = {}
        self._sources: dict[str, bytes] = {}

    def write(self, call_id: str, answer: Answer, *, energy: bool) -> bytes:
        """The `ModelInferResponse`; tensors that were asked for in shared memory are put there.

        Args:
            energy: whether the client may know the joules.

        Raises:
            BadRequest: a tensor is larger than its place in shared memory.
        """
        raws = [to_raw(array) for _, _, array in answer.tensors]
        if any(output.slot is not None for output, _, _ in answer.tensors):
            parts = [self._shared(answer, raws)]
        else:
            parts = [self._head(answer)]
        if call_id:
            content = call_id.encode()
            parts += (length_of(RESPONSE_ID, len(content)), content)
        if energy:
            parts += self._energy(answer.energy)
        for raw in raws:
            parts += (length_of(RAW_OUTPUT, len(raw)), raw)
        return b"".join(parts)

    def _head(self, answer: Answer) -> bytes:
        shapes = tuple((output.spec.name, datatype, array.shape) for output, datatype, array in answer.tensors)
        key = (answer.model.name, answer.model.version, shapes)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= HEADS_MAX:
                self._heads.clear()
            head = self._heads[key] = _outputs(answer).SerializeToString()
        return head

    def _shared(self, answer: Answer, raws: list[bytes]) -> bytes:
        """The head of an answer with outputs in shared memory, whose raw contents become empty: both stay in step."""
        response = _outputs(answer)
        for number, (output, _, _) in enumerate(answer.tensors):
            if output.slot is None:
                continue
            slot, raw, parameters = output.slot, raws[number], response.outputs[number].parameters
            self._regions.write(slot.region, slot.offset, slot.byte_size, raw, output=output.spec.name)
            parameters["shared_memory_region"].string_param = slot.region
            parameters["shared_memory_offset"].int64_param = slot.offset
            parameters["shared_memory_byte_size"].int64_param = len(raw)
            raws[number] = b""
        return response.SerializeToString()

    def _energy(self, provisional: Provisional) -> tuple[bytes, ...]:
        source = provisional.source or "none"
        said = self._sources.get(source)
        if said is None:
            said = self._sources[source] = _parameters(energy_source=source, energy_provisional=True)
        if provisional.joules is None:
            return (said,)
        return said, _JOULES, struct.pack("<d", provisional.joules)


def in_stream(response: bytes) -> bytes:
    """A `ModelInferResponse` as the one and final response to a request of a stream: a `ModelStreamInferResponse`."""
    return b"".join((length_of(INFER_RESPONSE, len(response) + len(_FINAL)), response, _FINAL))


def _outputs(answer: Answer) -> Any:
    response = ModelInferResponse(model_name=answer.model.name, model_version=answer.model.version)
    for output, datatype, array in answer.tensors:
        response.outputs.add(name=output.spec.name, datatype=datatype, shape=array.shape)
    return response


def _parameters(**values: str | bool | float) -> bytes:
    response = ModelInferResponse()
    for name, value in values.items():
        kind = {str: "string_param", bool: "bool_param", float: "double_param"}[type(value)]
        setattr(response.parameters[name], kind, value)
    return response.SerializeToString()


_JOULES = _parameters(energy_joules=1.0)[:-8]  # the number itself comes last
_FINAL = _parameters(**{FINAL: True})
