"""A finished ONNX model as somebody hands it over: what it takes and gives, its weights, and what can run it."""

# onnx annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper

from joulebox.package.digest import sha256
from joulebox.package.manifest import Datatype
from joulebox_build.errors import BuildError
from joulebox_build.graph.onnxgraph import Precision, constants, inner_constants, precision, random_operators

FILE_BYTES_MAX = 2**31 - 1  # of the ONNX file itself: what protobuf can read
BYTES_MAX = 8 * 2**30  # with all its external data, which passes through memory

DATATYPES: dict[int, Datatype] = {
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.UINT16: "UINT16",
    onnx.TensorProto.UINT32: "UINT32",
    onnx.TensorProto.UINT64: "UINT64",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT16: "INT16",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
    onnx.TensorProto.STRING: "BYTES",
}
UNDECLARED = "Field 'shape' of 'type' is required"  # some exporters leave it out, and ONNX Runtime does without
RUNTIMES = [("1.20", 21, 10), ("1.21", 22, 10), ("1.23", 23, 11), ("1.24", 25, 13), ("1.25", 26, 13)]
"""ONNX Runtime's releases, and the newest opset and IR version that each reads: tried with 1.20.1 to 1.31.1."""


@dataclass(frozen=True)
class Tensor:
    """An input or output. A dimension is its size, its name where it is free, or None where it is free and has no name."""

    name: str
    datatype: Datatype
    shape: tuple[int | str | None, ...] | None
    """None where the file says nothing of the rank."""


@dataclass(frozen=True)
class OnnxFile:
    """A sound ONNX model. `external` is the content of each file of weights by its location, as `content` has it."""

    content: bytes
    external: dict[str, bytes]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    precision: Precision
    engine_version_min: str
    opset: int
    ir_version: int
    random: tuple[str, ...]
    """Operators that draw random numbers."""
    sources: dict[str, str]
    """SHA-256 of the model's file and of its external data, as they were found."""


def read_onnx(path: Path) -> OnnxFile:
    """Reads and checks a model; its external data gets locations that are names of files in a package.

    Raises:
        BuildError: it is no sound ONNX model, or takes or gives what is no tensor, or its weights lie elsewhere.
    """
    raw = _read(path, FILE_BYTES_MAX)
    model = _parse(path, raw)
    locations = {_location(tensor) for tensor in _external(constants(model))}
    files = {location: _beside(path, location) for location in sorted(locations)}
    total = len(raw) + sum(file.stat().st_size for file in files.values())
    if total > BYTES_MAX:
        raise BuildError(f"{path} has {total} bytes with its external data; at most {BYTES_MAX} are taken")
    _check(path)
    given = {tensor.name for tensor in model.graph.initializer} | {
        sparse.values.name for sparse in model.graph.sparse_initializer
    }
    inputs = tuple(_tensor("input", value) for value in model.graph.input if value.name not in given)
    outputs = tuple(_tensor("output", value) for value in model.graph.output)
    if not inputs or not outputs:
        raise BuildError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each or more")
    external = {location: _read(file, BYTES_MAX) for location, file in files.items()}
    moved = _relocated(path, model) if external else {}
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    return OnnxFile(
        content=model.SerializeToString(deterministic=True) if external else raw,
        external={name: external[location] for location, name in moved.items()},
        inputs=inputs,
        outputs=outputs,
        precision=precision(model),
        engine_version_min=_engine_version_min(path, opset, model.ir_version),
        opset=opset,
        ir_version=model.ir_version,
        random=random_operators(model),
        sources={"model": sha256(raw), **{location: sha256(content) for location, content in external.items()}},
    )


def _read(path: Path, limit: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit:
            raise BuildError(f"{path} has {size} bytes; at most {limit} are taken")
        return path.read_bytes()
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}") from error


def _parse(path: Path, raw: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(raw)
    except DecodeError as error:
        raise BuildError(f"{path} is no ONNX model: {_first_line(error)}") from error
    if not model.HasField("graph") or not model.graph.node:
        raise BuildError(f"{path} is no ONNX model: it has no graph; expected the file that an exporter to ONNX wrote")
    return model


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:  # the checker raises several unrelated types, whatever is wrong with the file
        if UNDECLARED not in str(error):
            raise BuildError(f"{path} is no sound ONNX model: {_first_line(error)}") from error


def _tensor(kind: str, value: Any) -> Tensor:
    what = value.type.WhichOneof("value") or "nothing"
    if what != "tensor_type":
        tip = "; with skl2onnx, convert with zipmap=False" if what in ("sequence_type", "map_type") else ""
        raise BuildError(f"{kind} {value.name!r} is a {what.removesuffix('_type')}; only tensors can be served{tip}")
    datatype = DATATYPES.get(value.type.tensor_type.elem_type)
    if datatype is None:
        number = value.type.tensor_type.elem_type  # in a damaged file, maybe none that there is
        named = next((name for name, known in onnx.TensorProto.DataType.items() if known == number), number)
        raise BuildError(
            f"{kind} {value.name!r} has the type {named}, which the Open Inference Protocol does not carry; "
            f"add a Cast to one of {', '.join(sorted(DATATYPES.values()))}"
        )
    if not value.type.tensor_type.HasField("shape"):
        return Tensor(value.name, datatype, None)
    return Tensor(value.name, datatype, tuple(_dimension(dim) for dim in value.type.tensor_type.shape.dim))


def _dimension(dimension: Any) -> int | str | None:
    if dimension.HasField("dim_value") and dimension.dim_value >= 0:
        return int(dimension.dim_value)
    return str(dimension.dim_param) or None


def _external(tensors: Iterable[Any]) -> list[Any]:
    return [tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL]


def _location(tensor: Any) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _beside(path: Path, location: str) -> Path:
    """The file of external data, which has to lie in the model's folder.

    Raises:
        BuildError: it leads elsewhere, or there is none.
    """
    folder, named = path.resolve().parent, PurePosixPath(location)
    file = path.parent / named
    if not location or named.is_absolute() or ".." in named.parts or "\\" in location:
        raise BuildError(f"{path} has weights in {location!r}; expected a file in the model's own folder")
    if not file.is_file():
        raise BuildError(f"{path} has weights in {file}, which is not there; put it beside the model")
    if not file.resolve().is_relative_to(folder):
        raise BuildError(
            f"{path} has weights in {file}, which leads to {file.resolve()}, outside the model's folder; "
            "copy both into one folder"
        )
    return file


def _relocated(path: Path, model: onnx.ModelProto) -> dict[str, str]:
    """Changes locations in the model to names of files in a package; which are now which.

    Only initializers of the graph itself stay outside: others ONNX Runtime does not take from memory.
    """
    for tensor in _external(inner_constants(model)):
        _load(path, tensor)
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
    outside = _external(model.graph.initializer)
    locations = sorted(set(map(_location, outside)))
    names = [f"weights-{number}.data" for number in range(len(locations))] if len(locations) > 1 else ["weights.data"]
    moved = dict(zip(locations, names, strict=False))
    for tensor in outside:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = moved[entry.value]
    return moved


def _load(path: Path, tensor: Any) -> None:
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
    except Exception as error:  # whatever offset and length lead to
        raise BuildError(
            f"{path} has weights in {_location(tensor)} that cannot be read: {_first_line(error)}"
        ) from error


def _engine_version_min(path: Path, opset: int, ir_version: int) -> str:
    for release, opset_max, ir_max in RUNTIMES:
        if opset <= opset_max and ir_version <= ir_max:
            return release
    raise BuildError(
        f"{path} has opset {opset} and IR version {ir_version}; ONNX Runtime reads up to {RUNTIMES[-1][1]} and "
        f"{RUNTIMES[-1][2]}: export it with an older opset"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
