"""A finished ONNX model becomes a model package."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from joulebox.engine import EngineError
from joulebox.engine.onnxruntime import OnnxRuntimeEngine
from joulebox.package import Manifest, Package, write_package
from joulebox.package.digest import canonical, sha256
from joulebox_build.errors import BuildError
from joulebox_build.graph.inference import PROVIDER
from joulebox_build.graph.onnxfile import OnnxFile, Tensor, read_onnx
from joulebox_build.importing.goldens import Goldens, as_npz, find_goldens, kept
from joulebox_build.importing.reference import magnitude, tolerance
from joulebox_build.importing.samples import SEED, Sample, shown
from joulebox_build.packing.seal import GOLDEN

LIBRARIES = ("onnx", "onnxruntime", "numpy")
LABELS_MAX = 100_000


ModelPath = Annotated[Path, typer.Argument(help="The model; its external data lies beside it.", metavar="MODEL.onnx")]
Name = Annotated[str, typer.Option("--name", help="What clients call the model: a-z, 0-9, and . _ - after the first.")]
Out = Annotated[
    Path, typer.Option("--out", help="Where the package goes: DIR/VERSION, with DIR/current pointing to it.")
]
Samples = Annotated[
    Path | None,
    typer.Option("--samples", help="An .npz with an array for each input, samples first; else inputs are made up."),
]
Labels = Annotated[
    Path | None, typer.Option("--labels", help="Names of the classes, one a line: what the one output's scores are of.")
]
Batched = Annotated[
    bool | None,
    typer.Option(
        "--batched/--no-batched",
        help="Whether the first dimension is the batch of all tensors; else this is found out.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output instead of tables.")]


@dataclass(frozen=True)
class Given:
    """What the model's owner adds to it.

    `samples` is an `.npz` of inputs for the goldens, made up where there is none; `labels` a text file with the
    classes' names, one a line; `batched` says what would be found out otherwise.
    """

    samples: Path | None = None
    labels: Path | None = None
    batched: bool | None = None


NOTHING = Given()


@dataclass(frozen=True)
class Imported:
    """What came of an import. `magnitude` is the largest absolute value among the golden outputs."""

    package: Package
    unbatched: str | None
    samples: int
    left_out: int
    tolerance: float
    magnitude: float


def import_model(  # noqa: PLR0913, PLR0917  # the command line's options
    model: ModelPath,
    name: Name,
    out: Out,
    samples: Samples = None,
    labels: Labels = None,
    batched: Batched = None,
    as_json: Json = False,
) -> None:
    """Make a model package of a finished ONNX model, with golden samples that each host has to reproduce."""
    imported = import_onnx(model, name, out, Given(samples, labels, batched))
    if as_json:
        typer.echo(json.dumps(_as_json(imported), ensure_ascii=False, allow_nan=False))
    else:
        _show(imported)


def import_onnx(path: Path, name: str, out: Path, given: Given = NOTHING) -> Imported:
    """Reads, runs and packs a model.

    Raises:
        BuildError: it cannot be served, or something given is not what it should be; nothing is written.
    """
    if out.exists() and not out.is_dir():
        raise BuildError(f"--out {out} is a file; expected a folder, which is made where there is none")
    file = read_onnx(path)
    goldens = find_goldens(file, given.samples, given.batched)
    fields = _fields(file, name, goldens, _read_labels(given.labels) if given.labels else [])
    fields["lineage"] = _lineage(file, given.samples)
    variant = fields["variants"][0]
    files = {variant["file"]: file.content}
    files |= {f"variants/{location}": content for location, content in file.external.items()}
    optimised = _optimised(fields, files, file, goldens.samples)
    numbers = kept(goldens, optimised)
    answers = [goldens.answers[number] for number in numbers]
    allowed = tolerance(file.precision, answers, [optimised[number] for number in numbers])
    variant["golden_tolerance"] = allowed
    fields["golden"] = {"file": GOLDEN, "samples": len(numbers)}
    files[GOLDEN] = as_npz(goldens, numbers)
    try:
        package = write_package(out, fields, files, {})
    except OSError as error:
        raise BuildError(f"the package cannot be written to {out}: {error.strerror}") from error
    largest = magnitude(output for answer in answers for output in answer.values())
    return Imported(package, goldens.unbatched, len(numbers), len(goldens.samples) - len(numbers), allowed, largest)


def _optimised(
    fields: dict[str, Any], files: dict[str, bytes], file: OnnxFile, samples: Sequence[Sample]
) -> list[Sample]:
    """The answers as a device gives them, by the very engine that it has."""
    entries = {name: {"sha256": "0" * 64, "size": 0} for name in (*files, GOLDEN)}
    unsealed = {"version": "0" * 16, "files": entries, "evidence": {}, "checksum": "0" * 64}
    try:
        manifest = Manifest.model_validate({**fields, **unsealed})
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "package"
        raise BuildError(f"{key}: {problem['msg']} (value {str(problem['input'])[:80]})") from error
    try:
        engine = OnnxRuntimeEngine(manifest.variants[0], file.content, manifest, file.external, threads=1)
        return [engine.run(sample) for sample in samples]
    except EngineError as error:
        raise BuildError(f"it cannot be served: {error}") from error


def _fields(file: OnnxFile, name: str, goldens: Goldens, labels: list[str]) -> dict[str, Any]:
    """The manifest's fields but for lineage, with a tolerance and samples that are still to be found."""
    inputs = [_spec(tensor, [s[tensor.name] for s in goldens.samples]) for tensor in file.inputs]
    outputs = [_spec(tensor, [a[tensor.name] for a in goldens.answers]) for tensor in file.outputs]
    if labels and len(outputs) == 1 and len(outputs[0]["shape"]) == 2:
        outputs[0]["shape"][1] = goldens.answers[0][outputs[0]["name"]].shape[1]
    return {
        "schema_version": 1,
        "name": name,
        "batched": goldens.batched,
        "inputs": inputs,
        "outputs": outputs,
        "preprocess": None,
        "postprocess": {"kind": "classify", "temperature": 1.0, "top": min(3, len(labels))} if labels else None,
        "labels": labels,
        "variants": [
            {
                "name": f"cpu-{file.precision}",
                "file": f"variants/cpu-{file.precision}.onnx",
                "engine": "onnxruntime",
                "provider": PROVIDER,
                "engine_version_min": file.engine_version_min,
                "precision": file.precision,
                "golden_tolerance": 1.0,
                "external_data": [f"variants/{location}" for location in file.external],
            }
        ],
        "golden": {"file": GOLDEN, "samples": 1},
        "gate": [],
    }


def _spec(tensor: Tensor, arrays: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """A dimension is fixed where the file says so and the arrays agree."""
    rank = arrays[0].ndim
    declared = tensor.shape if tensor.shape is not None else (None,) * rank
    if len(declared) != rank:
        raise BuildError(f"output {tensor.name} is {shown(tensor)} in the file, and comes with {rank} dimensions")
    shape = [
        size if isinstance(size, int) and all(array.shape[place] == size for array in arrays) else -1
        for place, size in enumerate(declared)
    ]
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}


def _lineage(file: OnnxFile, samples: Path | None) -> dict[str, Any]:
    made_of: dict[str, Any] = {
        "import": file.sources,
        "opset": file.opset,
        "ir_version": file.ir_version,
        "samples": sha256(samples.read_bytes()) if samples else {"seed": SEED},
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }
    return {"inputs": sha256(canonical(made_of)), "made_of": made_of}


def _read_labels(path: Path) -> list[str]:
    try:
        labels = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path} cannot be read: {error}; expected text, one label a line") from error
    if not 0 < len(labels) <= LABELS_MAX:
        raise BuildError(f"{path} has {len(labels)} labels; expected one a line, at most {LABELS_MAX}")
    return labels


def _show(imported: Imported) -> None:
    console, manifest = Console(highlight=False, markup=False), imported.package.manifest
    tensors = Table("tensor", "name", "datatype", "shape")
    for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            tensors.add_row(kind, spec.name, spec.datatype, str(spec.shape))
    console.print(tensors)
    variant = manifest.variants[0]
    left_out = f" ({imported.left_out} left out)" if imported.left_out else ""
    console.print(f"batched: {'yes' if manifest.batched else f'no ({imported.unbatched})'}", soft_wrap=True)
    console.print(f"precision: {variant.precision}; needs onnxruntime {variant.engine_version_min} or later")
    console.print(
        f"goldens: {imported.samples} samples{left_out}; a host may differ by {imported.tolerance:g} "
        f"where the largest output is {imported.magnitude:.3g}",
        soft_wrap=True,
    )
    console.print(f"package {manifest.version} is at {imported.package.folder}", soft_wrap=True)


def _as_json(imported: Imported) -> dict[str, Any]:
    manifest = imported.package.manifest
    variant = manifest.variants[0]
    return {
        "name": manifest.name,
        "version": manifest.version,
        "package": str(imported.package.folder),
        "batched": manifest.batched,
        "unbatched_because": imported.unbatched,
        "inputs": [spec.model_dump() for spec in manifest.inputs],
        "outputs": [spec.model_dump() for spec in manifest.outputs],
        "precision": variant.precision,
        "engine_version_min": variant.engine_version_min,
        "golden": {
            "samples": imported.samples,
            "left_out": imported.left_out,
            "tolerance": imported.tolerance,
            "magnitude": imported.magnitude,
        },
    }
