"""From a `ModelInferRequest` to a call.

Raw tensors are read where protobuf has put them; nothing is copied again before it is computed on. Texts of errors are
Triton's (`infer_handler.cc`), since clients look for them.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from joulebox.grpc.contents import from_contents
from joulebox.oip.call import Call, Output, check_inputs, classes_of, input_spec, output_spec, timeout_of
from joulebox.oip.slots import slot_of, steady
from joulebox.oip.tensors import check_shape, from_raw
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.model import Model
from joulebox.runtime.regions import Regions

EMPTY_FINAL = "triton_enable_empty_final_response"
RESERVED = "triton_"
ID_MAX = 1024


def read_call(model: Model, request: Any, regions: Regions) -> Call:
    """What is asked of the model.

    Raises:
        BadRequest: it does not fit the model, or contradicts itself.
        NotFound: it names a shared memory region that is not registered.
    """
    if len(request.id) > ID_MAX:
        raise BadRequest(f"id has {len(request.id)} characters; at most {ID_MAX} are taken")
    parameters = read_parameters(request.parameters)
    return Call(
        id=request.id,
        inputs=_Inputs(model, request, regions).read(),
        outputs=_outputs(model, request, regions),
        timeout_s=timeout_of(parameters),
        parameters=parameters,
    )


def read_parameters(parameters: Any) -> dict[str, Any]:
    """A message's map of parameters as plain values; None where one has no value."""
    if not parameters:
        return {}
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        kind = value.WhichOneof("parameter_choice")
        found[name] = None if kind is None else getattr(value, kind)
        if name.startswith(RESERVED) and (name != EMPTY_FINAL or kind != "bool_param"):
            raise _reserved(name)
    return found


def _reserved(name: str) -> BadRequest:
    if name == EMPTY_FINAL:
        return BadRequest(f"invalid value type for '{EMPTY_FINAL}' parameter, expected bool_param.")
    return BadRequest(
        "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with"
        f" 'triton_' are allowed: {EMPTY_FINAL}"
    )


class _Inputs:
    """Reads a request's inputs; those that are sent raw take the raw contents in order."""

    def __init__(self, model: Model, request: Any, regions: Regions) -> None:
        self._model, self._request, self._regions = model, request, regions
        self._raws = request.raw_input_contents
        self._taken = 0

    def read(self) -> dict[str, NDArray[Any]]:
        model, manifest = self._model.name, self._model.package.manifest
        inputs: dict[str, NDArray[Any]] = {}
        for tensor in self._request.inputs:
            spec = input_spec(model, manifest, tensor.name, tensor.datatype)
            if spec.name in inputs:
                raise BadRequest(f"input '{spec.name}' already exists in request for model '{model}'")
            inputs[spec.name] = self._tensor(spec, check_shape(model, spec, tuple(tensor.shape)), tensor)
        if self._taken != len(self._raws):
            raise BadRequest(
                f"expected {self._taken} raw_input_contents, one for each input that is sent raw, but got"
                f" {len(self._raws)} for model '{model}'"
            )
        check_inputs(model, manifest, inputs)
        return inputs

    def _tensor(self, spec: TensorSpec, shape: tuple[int, ...], tensor: Any) -> NDArray[Any]:
        model, typed = self._model.name, tensor.HasField("contents")
        slot = slot_of(spec.name, read_parameters(tensor.parameters)) if tensor.parameters else None
        if slot is not None:
            if typed:
                raise BadRequest(
                    "unexpected 'content' provided when using shared memory for input tensor"
                    f" '{spec.name}' for model '{model}'"
                )
            content = self._regions.read(slot.region, slot.offset, slot.byte_size)
            return from_raw(spec, shape, steady(spec, content))
        if typed:
            if self._raws:
                raise BadRequest(
                    "contents field must not be specified when using raw_input_contents for"
                    f" '{spec.name}' for model '{model}'"
                )
            return from_contents(model, spec, shape, tensor.contents)
        if self._taken == len(self._raws):
            raise BadRequest(f"unable to find data for input tensor '{spec.name}' for model '{model}' in request.")
        self._taken += 1
        return from_raw(spec, shape, self._raws[self._taken - 1])


def _outputs(model: Model, request: Any, regions: Regions) -> tuple[Output, ...]:
    manifest = model.package.manifest
    if not request.outputs:
        return tuple(Output(spec) for spec in manifest.outputs)
    outputs: list[Output] = []
    for asked in request.outputs:
        spec = output_spec(model.name, manifest, asked.name)
        parameters = read_parameters(asked.parameters)
        slot = slot_of(spec.name, parameters)
        if slot is not None:
            regions.check(slot.region, slot.offset, slot.byte_size)  # before anything is computed for it
        outputs.append(Output(spec, classes=classes_of(parameters), slot=slot))
    if len({output.spec.name for output in outputs}) != len(outputs):
        raise BadRequest(f"an output is asked for twice of model '{model.name}'")
    return tuple(outputs)
