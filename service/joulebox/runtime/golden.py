"""The golden samples: a variant that does not reproduce them on this host is not served."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine import Engine, Tensors
from joulebox.engine.datatypes import NUMPY
from joulebox.package import Package, PackageError, TensorSpec, Variant


class GoldenMismatch(Exception):
    """A variant's outputs are further from the reference than its tolerance."""


def read_golden(package: Package) -> tuple[Tensors, Tensors]:
    """Inputs and reference outputs by tensor name; `sample` takes one sample of either.

    Raises:
        PackageError: the file is not what the manifest says.
    """
    manifest = package.manifest
    content = _arrays(package)

    def take(kind: str, specs: list[TensorSpec]) -> Tensors:
        return {spec.name: _checked(package, spec, content.get(f"{kind}.{spec.name}")) for spec in specs}

    return take("input", manifest.inputs), take("output", manifest.outputs)


def sample(arrays: Tensors, index: int, *, batched: bool) -> Tensors:
    """One golden sample: a batch of one where the model is batched, else the tensors as they are."""
    return {name: array[index : index + 1] if batched else array[index, ...] for name, array in arrays.items()}


def verify(engine: Engine, variant: Variant, inputs: Tensors, expected: Tensors, *, batched: bool) -> None:
    """Runs the samples one by one, as most requests come.

    Raises:
        GoldenMismatch: an output is of another shape, or off by more than the variant's tolerance.
        EngineError: the engine failed.
    """
    for index in range(len(next(iter(inputs.values())))):
        outputs = engine.run(sample(inputs, index, batched=batched))
        for name, reference in sample(expected, index, batched=batched).items():
            _compare(f"{variant.name}: golden sample {index}, {name}", outputs[name], reference, variant)


def verify_joined(engine: Engine, variant: Variant, inputs: Tensors, expected: Tensors, items: int) -> None:
    """Runs up to so many samples as one batch: each has to come out as it does alone.

    Raises:
        GoldenMismatch, EngineError: see `verify`.
    """
    outputs = engine.run({name: array[:items] for name, array in inputs.items()})
    for name, reference in expected.items():
        _compare(f"{variant.name}: golden samples in one batch, {name}", outputs[name], reference[:items], variant)


def _arrays(package: Package) -> dict[str, NDArray[Any]]:
    file = package.manifest.golden.file
    content = io.BytesIO(package.read(file))
    try:
        with np.load(content, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # numpy and zipfile raise several unrelated types
        raise PackageError(f"{file} holds no arrays: {str(error)[:200]}") from error


def _checked(package: Package, spec: TensorSpec, array: NDArray[Any] | None) -> NDArray[Any]:
    golden, batched = package.manifest.golden, package.manifest.batched
    shape = [golden.samples, *(spec.shape[1:] if batched else spec.shape)]
    if array is None or array.shape[:1] != (golden.samples,):
        raise PackageError(f"{golden.file} has no {golden.samples} samples of {spec.name}")
    if array.dtype.kind == "U":
        array = array.astype(object)
    fits = len(shape) == array.ndim and all(want in (-1, size) for size, want in zip(array.shape, shape, strict=True))
    if array.dtype != NUMPY[spec.datatype] or not fits:
        raise PackageError(
            f"{golden.file} has {spec.name} as {array.dtype} {list(array.shape)}; expected {spec.datatype} {shape}"
        )
    return array


def _compare(where: str, actual: NDArray[Any], expected: NDArray[Any], variant: Variant) -> None:
    if actual.shape != expected.shape:
        raise GoldenMismatch(f"{where}: shape {list(actual.shape)}, expected {list(expected.shape)}")
    if expected.dtype.kind == "f":
        off = distance(actual, expected)
        if not off <= variant.golden_tolerance:
            raise GoldenMismatch(f"{where}: off by {off:.4g}, allowed {variant.golden_tolerance:.4g}")
        return
    differ = int(np.count_nonzero(actual != expected))
    if differ:
        raise GoldenMismatch(f"{where}: {differ} of {expected.size} values differ, which have to be equal")


def distance(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest absolute difference of floats of one shape; 0 where both are NaN or the same infinity, else infinite there."""
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    return float(np.max(np.nan_to_num(off, nan=np.inf, posinf=np.inf), initial=0.0))
