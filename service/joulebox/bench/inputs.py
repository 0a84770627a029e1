"""What is sent: samples from a package's goldens, from a file, or random ones of the shapes in the server's metadata."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.bench.errors import UsageError
from joulebox.engine.datatypes import NUMPY
from joulebox.package import TensorSpec

Tensors = dict[str, NDArray[Any]]
Shapes = Mapping[str, Sequence[int]]

REQUESTS_MAX = 32  # different ones, sent in turn: a server that cached would show otherwise
BYTES_MAX = 64 * 2**20  # of all of them
FREE = 8  # size of a free dimension that is not the batch, unless a shape is given
SMALL = {np.dtype(np.uint8): 256, np.dtype(np.int8): 128}  # pixels; other whole numbers may be indices: below 10


def parse_shape(text: str) -> tuple[str, list[int]]:
    """Of `NAME:1,3,224,224`.

    Raises:
        UsageError: it is not written so.
    """
    name, _, sizes = text.rpartition(":")
    try:
        shape = [int(size) for size in sizes.split(",")] if sizes else []
    except ValueError:
        shape = [-1]
    if not name or any(size < 1 for size in shape):
        raise UsageError(f"--shape {text}: expected NAME:SIZE,SIZE,... with sizes from 1 up, as in image:1,3,224,224")
    return name, shape


def batches(specs: Sequence[TensorSpec], samples: Tensors, batch: int) -> list[Tensors]:
    """Requests of `batch` samples each, cut in turn along the first dimension of `samples`; where the arrays have one
    dimension more than the inputs, the model takes no batches, and each request is one sample.

    Raises:
        UsageError: an input has no samples, or of another shape or datatype.
    """
    arrays = {spec.name: _samples(spec, samples) for spec in specs}
    count = min(map(len, arrays.values()))
    size = batch * max(1, sum(array.nbytes // len(array) for array in arrays.values()))
    number = max(1, min(REQUESTS_MAX, count, BYTES_MAX // size))
    rows = [np.arange(first * batch, (first + 1) * batch) % count for first in range(number)]
    return [{spec.name: _cut(spec, arrays[spec.name], chosen) for spec in specs} for chosen in rows]


def load_file(path: Path, specs: Sequence[TensorSpec]) -> Tensors:
    """The arrays of an npz file, named as the inputs are, or as in a package's goldens (`input.NAME`).

    Raises:
        UsageError: it cannot be read, or an array is missing.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content: Tensors = dict(arrays)
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"--data {path}: {error}; expected an npz file with an array for each input") from error
    found = {spec.name: content.get(spec.name, content.get(f"input.{spec.name}")) for spec in specs}
    missing = [name for name, array in found.items() if array is None]
    if missing:
        raise UsageError(f"--data {path} has no array {missing[0]!r}; it has {', '.join(sorted(content)) or 'none'}")
    return {name: array for name, array in found.items() if array is not None}


def random_requests(specs: Sequence[TensorSpec], batch: int, shapes: Shapes, seed: int) -> list[Tensors]:
    """Normal floats, pixels of 0 to 255, other whole numbers and strings of 0 to 9, which are likely to be known indices.

    Raises:
        UsageError: a shape is not one that its input takes.
    """
    unknown = shapes.keys() - {spec.name for spec in specs}
    if unknown:
        raise UsageError(f"--shape {min(unknown)}: no such input; the model takes {', '.join(s.name for s in specs)}")
    generator = np.random.default_rng(seed)
    sizes = {spec.name: _shape(spec, batch, shapes.get(spec.name)) for spec in specs}
    size = sum(
        int(np.prod(shape)) * NUMPY[spec.datatype].itemsize for spec, shape in zip(specs, sizes.values(), strict=True)
    )
    number = max(1, min(REQUESTS_MAX, BYTES_MAX // max(1, size)))
    return [{spec.name: _random(spec, sizes[spec.name], generator) for spec in specs} for _ in range(number)]


def _shape(spec: TensorSpec, batch: int, given: Sequence[int] | None) -> list[int]:
    if given is not None:
        if len(given) != len(spec.shape) or any(
            want not in (-1, size) for size, want in zip(given, spec.shape, strict=True)
        ):
            raise UsageError(f"--shape {spec.name}:{_comma(given)}: expected {_comma(spec.shape)} (-1 is any size)")
        return list(given)
    if batch != 1 and (not spec.shape or spec.shape[0] != -1):
        raise UsageError(f"--batch {batch}: input {spec.name!r} has the fixed shape {spec.shape}; leave --batch at 1")
    return [size if size != -1 else batch if place == 0 else FREE for place, size in enumerate(spec.shape)]


def _random(spec: TensorSpec, shape: Sequence[int], generator: np.random.Generator) -> NDArray[Any]:
    dtype = NUMPY[spec.datatype]
    if spec.datatype == "BYTES":
        return generator.integers(0, 10, shape).astype(str).astype(object)
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    return generator.integers(0, 2 if dtype.kind == "b" else SMALL.get(dtype, 10), shape).astype(dtype)


def _samples(spec: TensorSpec, samples: Tensors) -> NDArray[Any]:
    """The samples of an input, in its datatype."""
    array, dtype = samples.get(spec.name), NUMPY[spec.datatype]
    if array is None or array.ndim == 0 or not len(array):
        raise UsageError(
            f"input {spec.name!r} has no samples; expected an array with samples along its first dimension"
        )
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise UsageError(f"the samples of {spec.name!r} are {array.dtype}; expected {spec.datatype}")
    return array.astype(dtype, copy=False)


def _cut(spec: TensorSpec, array: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    tensor = array[rows] if array.ndim <= len(spec.shape) or len(rows) > 1 else np.asarray(array[rows[0]])
    if tensor.ndim != len(spec.shape) or any(w not in (-1, s) for s, w in zip(tensor.shape, spec.shape, strict=True)):
        raise UsageError(
            f"--batch {len(rows)} of samples {_comma(array.shape[1:]) or 'of no dimension'} makes {_comma(tensor.shape)};"
            f" input {spec.name!r} takes {_comma(spec.shape)} (-1 is any size)"
        )
    return tensor


def _comma(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))
