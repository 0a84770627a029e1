"""The golden samples: a variant that does not reproduce them on this host is not served."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine import Engine, Tensors
from joulebox.package import Package, PackageError, Variant


class GoldenMismatch(Exception):
    """A variant's outputs are further from the reference than its tolerance."""


def read_golden(package: Package) -> tuple[Tensors, Tensors]:
    """Inputs and reference outputs by tensor name, samples along the first dimension.

    Raises:
        PackageError: the file is not what the manifest says.
    """
    golden = package.manifest.golden
    try:
        with np.load(io.BytesIO(package.read(golden.file)), allow_pickle=False) as arrays:
            content: dict[str, NDArray[Any]] = dict(arrays)
    except (ValueError, OSError) as error:
        raise PackageError(f"{golden.file} holds no arrays: {error}") from error
    inputs = {spec.name: content.get(f"input.{spec.name}") for spec in package.manifest.inputs}
    outputs = {spec.name: content.get(f"output.{spec.name}") for spec in package.manifest.outputs}
    found: dict[str, NDArray[Any]] = {}
    for name, array in [*inputs.items(), *outputs.items()]:
        if array is None or len(array) != golden.samples:
            raise PackageError(f"{golden.file} has no {golden.samples} samples of {name}")
        found[name] = array
    return {name: found[name] for name in inputs}, {name: found[name] for name in outputs}


def verify(engine: Engine, variant: Variant, inputs: Tensors, expected: Tensors) -> None:
    """Runs the samples one by one, as most requests come.

    Raises:
        GoldenMismatch: an output is not finite, of another shape, or off by more than the variant's tolerance.
        EngineError: the engine failed.
    """
    for number in range(len(next(iter(inputs.values())))):
        outputs = engine.run({name: array[number : number + 1] for name, array in inputs.items()})
        for name, reference in expected.items():
            _compare(
                f"{variant.name}: golden sample {number}, {name}",
                outputs[name],
                reference[number : number + 1],
                variant,
            )


def _compare(where: str, actual: NDArray[Any], expected: NDArray[Any], variant: Variant) -> None:
    if actual.shape != expected.shape:
        raise GoldenMismatch(f"{where}: shape {list(actual.shape)}, expected {list(expected.shape)}")
    off = float(np.max(np.abs(actual.astype(np.float64) - expected.astype(np.float64)), initial=0.0))
    if not off <= variant.golden_tolerance:  # also where it is NaN
        raise GoldenMismatch(f"{where}: off by {off:.4g}, allowed {variant.golden_tolerance:.4g}")
