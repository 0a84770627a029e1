"""Sealing: what the build made becomes a model package, the same bytes each time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.package import Package, write_package
from joulebox.package.digest import canonical, sha256
from joulebox.package.manifest import GateResult
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import BuildError
from joulebox_build.graph.canonical import OUTPUT
from joulebox_build.graph.inference import PROVIDER, outputs
from joulebox_build.packing.tolerance import tolerance
from joulebox_build.recipe import GivenRecipe, Recipe
from joulebox_build.recipe.variants import VariantName

ENGINE_VERSION_MIN = "1.20"  # of ONNX Runtime: reads IR version 10 and opset 18
GOLDEN = "golden.npz"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip file can hold


@dataclass(frozen=True)
class Kind:
    """What a variant's name stands for."""

    precision: str
    provider: str = PROVIDER
    engine_version_min: str = ENGINE_VERSION_MIN


KINDS: dict[VariantName, Kind] = {  # those that a host tries first stand first
    "trt-int8": Kind("int8", "TensorrtExecutionProvider"),
    "gpu-fp16": Kind("fp16", "CUDAExecutionProvider"),
    "cpu-int8": Kind("int8"),
    "cpu-fp32": Kind("fp32"),
    "cpu-weights-int8": Kind("mixed", engine_version_min="1.23"),  # 1.22 has no MatMulNBits of 8 bits
    "cpu-weights-int4": Kind("mixed"),
}


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A `.npz` whose bytes depend on the arrays alone (numpy's own carries the time)."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
    return content.getvalue()


def golden_samples(inputs: NDArray[Any], count: int, *, seed: int) -> NDArray[Any]:
    """So many of the inputs `[N, ...]`, drawn without replacement."""
    drawn = np.random.default_rng(seed).choice(len(inputs), min(count, len(inputs)), replace=False)
    return inputs[np.sort(drawn)]


@dataclass(frozen=True)
class Content:
    """What goes into a package.

    `variants` are ONNX files by name, `cpu-fp32` among them. `golden` are encoded inputs of validation data
    `[N, ...]`; the fp32 model gives their reference outputs. `evidence` is file name to content: figures of this
    machine belong there, as it lies outside the version.
    """

    labels: tuple[str, ...]
    variants: Mapping[VariantName, bytes]
    given: ModelInput
    golden: NDArray[Any]
    temperature: float
    gate: list[GateResult]
    made_of: Mapping[str, Any]
    evidence: Mapping[str, bytes]


def seal(out: Path, recipe: Recipe | GivenRecipe, content: Content) -> Package:
    """Writes the package and makes it the current one of `out`.

    Raises:
        GateError: a variant's answers are another model's.
        BuildError: `out` cannot be written.
    """
    golden, labels = content.golden, list(content.labels)
    reference = outputs(content.variants["cpu-fp32"], golden)
    fields = {
        "schema_version": 1,
        "name": recipe.name,
        "inputs": [
            {"name": content.given.name, "datatype": content.given.datatype, "shape": [-1, *content.given.shape]}
        ],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(labels)]}],
        "preprocess": recipe.preprocess and recipe.preprocess.model_dump(),
        "postprocess": {"kind": "classify", "temperature": content.temperature, "top": min(3, len(labels))},
        "labels": labels,
        "variants": [
            _variant(name, kind, _tolerance(name, kind, content, reference))
            for name, kind in KINDS.items()
            if name in content.variants
        ],
        "golden": {"file": GOLDEN, "samples": len(golden)},
        "gate": [result.model_dump() for result in content.gate],
        "lineage": {"inputs": sha256(canonical(content.made_of)), "made_of": dict(content.made_of)},
    }
    files = {_file(name): model for name, model in content.variants.items()}
    files[GOLDEN] = npz({f"input.{content.given.name}": golden, f"output.{OUTPUT}": reference})
    try:
        return write_package(out, fields, files, content.evidence)
    except OSError as error:
        raise BuildError(f"the package cannot be written to {out}: {error.strerror}") from error


def _file(name: VariantName) -> str:
    return f"variants/{name}.onnx"


def _tolerance(name: VariantName, kind: Kind, content: Content, reference: NDArray[np.float32]) -> float:
    actual = outputs(content.variants[name], content.golden)
    return tolerance(name, kind.precision, reference, actual, temperature=content.temperature)


def _variant(name: VariantName, kind: Kind, golden_tolerance: float) -> dict[str, Any]:
    return {
        "name": name,
        "file": _file(name),
        "engine": "onnxruntime",
        "provider": kind.provider,
        "engine_version_min": kind.engine_version_min,
        "precision": kind.precision,
        "golden_tolerance": golden_tolerance,
    }
