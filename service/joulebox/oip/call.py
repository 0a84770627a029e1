"""One inference as the protocol has it: what was asked, checked against the manifest, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from joulebox.engine import Tensors
from joulebox.oip.classification import classify
from joulebox.package import Manifest, TensorSpec
from joulebox.runtime.batch import Inference
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.model import Model
from joulebox.runtime.regions import Slot
from joulebox.runtime.sampler import Provisional

CLASSES_MAX = 100_000
TIMEOUT_S_MAX = 86_400.0


@dataclass(frozen=True, slots=True)
class Output:
    """An output that was asked for."""

    spec: TensorSpec
    binary: bool = False
    classes: int = 0
    """So many best classes instead of the values; 0 is the values."""
    slot: Slot | None = None
    """Where in shared memory it goes, instead of into the answer."""


@dataclass(slots=True)
class Call:
    """A request for inference."""

    id: str
    inputs: Tensors
    outputs: tuple[Output, ...]
    timeout_s: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Answer:
    """What was inferred; `tensors` are the call's outputs in order, classified where that was asked."""

    model: Model
    inference: Inference
    tensors: list[tuple[Output, str, NDArray[Any]]]
    """With the datatype of each: classification makes BYTES."""
    energy: Provisional


def check_inputs(model: str, manifest: Manifest, inputs: Tensors) -> None:
    """Whether all inputs are there, with one batch size.

    Raises:
        BadRequest: they are not.
    """
    if len(inputs) != len(manifest.inputs):
        missing = [spec.name for spec in manifest.inputs if spec.name not in inputs]
        raise BadRequest(
            f"expected {len(manifest.inputs)} inputs but got {len(inputs)} inputs for model {model!r}."
            f" Got input(s) {sorted(inputs)}, but missing required input(s) {missing}"
        )
    if manifest.batched and len(inputs) > 1:
        sizes = {name: array.shape[0] for name, array in inputs.items()}
        if len(set(sizes.values())) > 1:
            raise BadRequest(f"inputs of model {model!r} have different batch sizes: {sizes}")


def input_spec(model: str, manifest: Manifest, name: Any, datatype: Any) -> TensorSpec:
    """The input of that name.

    Raises:
        BadRequest: there is none, or it has another datatype.
    """
    for spec in manifest.inputs:
        if spec.name == name:
            if spec.datatype != datatype:
                raise BadRequest(
                    f"inference input {name!r} data-type is {str(datatype)[:80]!r}, but model {model!r} expects {spec.datatype!r}"
                )
            return spec
    raise BadRequest(
        f"unexpected inference input {str(name)[:80]!r} for model {model!r}; it takes {_names(manifest.inputs)}"
    )


def output_spec(model: str, manifest: Manifest, name: Any) -> TensorSpec:
    """The output of that name.

    Raises:
        BadRequest: there is none.
    """
    for spec in manifest.outputs:
        if spec.name == name:
            return spec
    raise BadRequest(
        f"unexpected inference output {str(name)[:80]!r} for model {model!r}; it gives {_names(manifest.outputs)}"
    )


def classes_of(parameters: dict[str, Any]) -> int:
    """The `classification` parameter of an output; 0 where there is none.

    Raises:
        BadRequest: it is no count.
    """
    classes = parameters.get("classification", 0)
    if type(classes) is not int or not 0 <= classes <= CLASSES_MAX:
        raise BadRequest(
            f"classification is {str(classes)[:80]!r}; expected a count of classes from 0 to {CLASSES_MAX}"
        )
    return classes


def timeout_of(parameters: dict[str, Any]) -> float | None:
    """The `timeout` parameter of a request, in seconds; it is given in microseconds. None where there is none.

    Raises:
        BadRequest: it is no such number.
    """
    timeout = parameters.get("timeout")
    if timeout is None or timeout == 0:
        return None
    if isinstance(timeout, str) and timeout.isdecimal() and len(timeout) < 18:
        timeout = int(timeout)
    if type(timeout) is not int or not 0 < timeout <= TIMEOUT_S_MAX * 1e6:
        raise BadRequest(f"timeout is {str(timeout)[:80]!r}; expected microseconds, at most a day")
    return timeout / 1e6


def answer_tensors(model: Model, call: Call, inference: Inference) -> list[tuple[Output, str, NDArray[Any]]]:
    """The call's outputs, of what was inferred."""
    manifest = model.package.manifest
    tensors: list[tuple[Output, str, NDArray[Any]]] = []
    for output in call.outputs:
        name, array = output.spec.name, inference.outputs[output.spec.name]
        if output.classes:
            labels = classify(name, array, output.classes, manifest.labels, batched=manifest.batched)
            tensors.append((output, "BYTES", labels))
        else:
            tensors.append((output, output.spec.datatype, array))
    return tensors


def _names(specs: list[TensorSpec]) -> str:
    return ", ".join(sorted(spec.name for spec in specs))
