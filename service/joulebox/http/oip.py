"""The Open Inference Protocol, version 2, REST with JSON tensors.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Any, cast

import joulebox
from joulebox.engine import Tensors
from joulebox.http.counted import counted
from joulebox.http.energy import energy_of
from joulebox.http.exchange import Reply, Request, json_reply
from joulebox.http.tensors import from_json
from joulebox.package import Manifest, TensorSpec
from joulebox.runtime.errors import BadRequest, NotFound
from joulebox.runtime.model import Inference, Model, State
from joulebox.runtime.repository import Repository
from joulebox.runtime.sampler import Sampler


class Oip:
    """What is below `/v2`."""

    def __init__(self, repository: Repository, sampler: Sampler, *, expose_energy: bool) -> None:
        self._repository = repository
        self._sampler = sampler
        self._expose_energy = expose_energy

    async def __call__(self, request: Request, rest: list[str]) -> Reply:
        """Answers a request, whose path goes on with `rest` after `/v2`."""
        match request.method, [part for part in rest if part]:
            case "GET", []:
                return json_reply({"name": "joulebox", "version": joulebox.__version__, "extensions": []})
            case "GET", ["health", "live"]:
                return json_reply({"live": True})
            case "GET", ["health", "ready"]:
                ready = self._repository.ready
                return json_reply({"ready": ready}, 200 if ready else 503)
            case _, ["models", name, *rest]:
                return await self._model(request, name, rest)
            case _:
                raise NotFound(f"{request.method} {request.path[:80]} is not part of the protocol")

    async def _model(self, request: Request, name: str, rest: list[str]) -> Reply:
        version = None
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        model = self._repository.get(name, version)
        match request.method, rest:
            case "GET", []:
                return json_reply(metadata(model))
            case "GET", ["ready"]:
                ready = model.state is State.READY
                return json_reply({"name": model.name, "ready": ready}, 200 if ready else 503)
            case "POST", ["infer"]:
                with counted(model, "oip"):
                    return await self._infer(request, model)
            case _:
                raise NotFound(f"{request.method} {request.path[:80]} is not part of the protocol")

    async def _infer(self, request: Request, model: Model) -> Reply:
        content = await request.json()
        manifest = model.package.manifest
        identifier = content.get("id")
        if identifier is not None and not isinstance(identifier, str):
            raise BadRequest(f"id is {type(identifier).__name__}; expected a string")
        inputs = read_inputs(manifest, content.get("inputs"))
        wanted = read_outputs(manifest, content.get("outputs"))
        inference = await model.infer(inputs)
        answer: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
        if identifier is not None:
            answer["id"] = identifier
        answer["parameters"] = self._parameters(request, model, inference)
        answer["outputs"] = [_output(spec, inference) for spec in wanted]
        return json_reply(answer)

    def _parameters(self, request: Request, model: Model, inference: Inference) -> dict[str, Any]:
        energy = energy_of(self._sampler.provisional(model, inference), request, expose=self._expose_energy)
        if energy is None:
            return {}
        known = {} if energy["joules"] is None else {"energy_joules": energy["joules"]}
        return {**known, "energy_source": energy["source"], "energy_provisional": True}


def metadata(model: Model) -> dict[str, Any]:
    """What the protocol says of a model, and in `parameters` what serves it and which variants were passed over."""
    manifest = model.package.manifest
    running = model.running if model.state is State.READY else None
    parameters: dict[str, Any] = {"state": model.state.value}
    if running is not None:
        parameters |= {
            "variant": running.variant.name,
            "engine": running.engine.name,
            "precision": running.variant.precision,
        }
    if model.fallbacks:
        parameters["fallbacks"] = [
            f"{step.from_variant} -> {step.to_variant}: {step.reason}" for step in model.fallbacks
        ]
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": [spec.model_dump() for spec in manifest.inputs],
        "outputs": [spec.model_dump() for spec in manifest.outputs],
        "parameters": parameters,
    }


def read_inputs(manifest: Manifest, inputs: Any) -> Tensors:
    """The request's tensors, each of the manifest's inputs once.

    Raises:
        BadRequest: one is missing, unknown, given twice, of another datatype or shape, or their batches differ.
    """
    if not isinstance(inputs, list):
        raise BadRequest(f"inputs is {type(inputs).__name__}; expected a list of tensors")
    specs = {spec.name: spec for spec in manifest.inputs}
    tensors: dict[str, Any] = {}
    for tensor in cast("list[Any]", inputs):
        spec = _spec(specs, tensor)
        if spec.name in tensors:
            raise BadRequest(f"input {spec.name!r} is given twice")
        tensors[spec.name] = from_json(spec, tensor.get("shape"), tensor.get("data"))
    missing = specs.keys() - tensors.keys()
    if missing:
        raise BadRequest(f"input {min(missing)!r} is missing; the model takes {', '.join(sorted(specs))}")
    batches = {name: array.shape[0] for name, array in tensors.items()}
    if len(set(batches.values())) > 1:
        raise BadRequest(f"inputs have different batch sizes: {batches}")
    return tensors


def _spec(specs: dict[str, TensorSpec], tensor: Any) -> TensorSpec:
    if not isinstance(tensor, dict):
        raise BadRequest(f"an input is {type(tensor).__name__}; expected an object with name, shape, datatype and data")
    content = cast("dict[str, Any]", tensor)
    name, datatype = content.get("name"), content.get("datatype")
    spec = specs.get(name) if isinstance(name, str) else None
    if spec is None:
        raise BadRequest(f"unknown input {str(name)[:80]!r}; the model takes {', '.join(sorted(specs))}")
    if datatype != spec.datatype:
        raise BadRequest(f"input {spec.name!r} has datatype {str(datatype)[:80]!r}; expected {spec.datatype!r}")
    return spec


def read_outputs(manifest: Manifest, outputs: Any) -> list[TensorSpec]:
    """The outputs that are asked for; all where none is named.

    Raises:
        BadRequest: one is unknown.
    """
    if not outputs:
        return manifest.outputs
    specs = {spec.name: spec for spec in manifest.outputs}
    if not isinstance(outputs, list):
        raise BadRequest(f"outputs is {type(outputs).__name__}; expected a list of objects with a name")
    wanted: list[TensorSpec] = []
    for output in cast("list[Any]", outputs):
        name = cast("dict[str, Any]", output).get("name") if isinstance(output, dict) else output
        if not isinstance(name, str) or name not in specs:
            raise BadRequest(f"unknown output {str(name)[:80]!r}; the model gives {', '.join(sorted(specs))}")
        wanted.append(specs[name])
    return wanted


def _output(spec: TensorSpec, inference: Inference) -> dict[str, Any]:
    array = inference.outputs[spec.name]
    data = array.ravel() if array.dtype.kind in "iufb" and array.dtype.itemsize > 2 else array.ravel().tolist()
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(array.shape), "data": data}
