"""Inputs for a model that was not made here: those of its owner, or made up by a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine.datatypes import NUMPY
from joulebox_build.errors import BuildError
from joulebox_build.graph.onnxfile import Tensor

Sample = dict[str, NDArray[Any]]
"""The tensors of one request, by name."""

SEED = 0
COUNT = 8
COUNT_MAX = 64
ELEMENTS_MAX = 2**24  # of one made-up tensor
SIZES = (8, 16, 32, 64, 128, 224, 256, 512, 1)  # of free dimensions, in the order in which they are tried
LIMITS = (100, 10, 2, 1)  # whole numbers are drawn below; a table of embeddings may be short
WORDS = ("red", "Joule", "für alle", "", "a b c", "42")


def made_up(inputs: Sequence[Tensor], *, batched: bool) -> Iterator[list[Sample]]:
    """Sets of samples, one after the other: the first that the model takes will do.

    Floats are normal, whole numbers small and not negative, masks all ones. Free dimensions have one size, and the
    first of a batched model is 1, wherever its name stands.
    """
    first = {tensor.shape[0] for tensor in inputs if tensor.shape} if batched else set[Any]()
    shapes = [tensor.shape or () for tensor in inputs]
    free = any(
        not isinstance(size, int) and not (batched and place == 0) for s in shapes for place, size in enumerate(s)
    )
    counted = any(tensor.datatype == "BYTES" or "INT" in tensor.datatype for tensor in inputs)
    for size in SIZES if free else SIZES[:1]:
        sizes = {tensor.name: _sizes(tensor, size, first) for tensor in inputs}
        if max(map(math.prod, sizes.values())) > ELEMENTS_MAX:
            continue
        for limit in LIMITS if counted else LIMITS[:1]:
            random = np.random.default_rng(SEED)
            yield [
                {tensor.name: _values(tensor, sizes[tensor.name], limit, random) for tensor in inputs}
                for _ in range(COUNT)
            ]


def _sizes(tensor: Tensor, size: int, first: set[Any]) -> tuple[int, ...]:
    """Of a tensor's dimensions; those that `first` names are the batch."""
    shape = tensor.shape or ()
    return tuple(
        each if isinstance(each, int) else 1 if each in first and (each is not None or place == 0) else size
        for place, each in enumerate(shape)
    )


def _values(tensor: Tensor, shape: tuple[int, ...], limit: int, random: np.random.Generator) -> NDArray[Any]:
    dtype = NUMPY[tensor.datatype]
    if tensor.datatype == "BYTES":
        words = WORDS if limit > 10 else [str(number) for number in range(limit)]
        return np.array(random.choice(words, shape), np.object_)
    if dtype.kind == "f":
        return np.asarray(random.normal(size=shape)).astype(dtype)
    if "mask" in tensor.name.lower():
        return np.ones(shape, dtype)
    return np.asarray(random.integers(0, 2 if dtype.kind == "b" else limit, shape)).astype(dtype)


def read_samples(path: Path, inputs: Sequence[Tensor]) -> list[Sample]:
    """The samples of an `.npz` with one array for each input, samples along its first axis.

    An array has the input's rank where its first dimension counts the samples, or one more.

    Raises:
        BuildError: it is no such file.
    """
    arrays = _arrays(path)
    taken = ", ".join(tensor.name for tensor in inputs)
    for name in arrays.keys() - {tensor.name for tensor in inputs}:
        raise BuildError(f"{path} has an array {name!r}; the model takes {taken}")
    parts = {tensor.name: _parts(path, tensor, arrays.get(tensor.name), taken) for tensor in inputs}
    counts = {name: len(part) for name, part in parts.items()}
    if len(set(counts.values())) > 1 or not min(counts.values()):
        raise BuildError(f"{path} has {counts} samples; expected as many of each input, at least one")
    return [{name: part[index] for name, part in parts.items()} for index in range(min(counts.values()))]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return dict(content)
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # numpy and zipfile raise several unrelated types
        raise BuildError(f"{path} holds no arrays: {str(error)[:200]}; expected what numpy.savez writes") from error


def _parts(path: Path, tensor: Tensor, array: NDArray[Any] | None, taken: str) -> list[NDArray[Any]]:
    """At most `COUNT_MAX` samples of one input, each with the input's rank."""
    if array is None:
        raise BuildError(f"{path} has no array {tensor.name!r}; the model takes {taken}")
    strings = array.dtype.kind == "U"
    if (NUMPY["BYTES"] if strings else array.dtype) != NUMPY[tensor.datatype]:
        raise BuildError(f"{path} has {tensor.name} as {array.dtype}; the model takes {tensor.datatype}")
    ranks = (array.ndim,) if tensor.shape is None else (len(tensor.shape), len(tensor.shape) + 1)
    if array.ndim == 0 or array.ndim not in ranks:
        raise BuildError(
            f"{path} has {tensor.name} with shape {list(array.shape)}; expected samples of {shown(tensor)}, "
            "along the first axis"
        )
    if strings:
        array = array.astype(np.object_)
    whole = tensor.shape is not None and array.ndim == len(tensor.shape)
    count = min(len(array), COUNT_MAX)
    parts = [array[index : index + 1] if whole else array[index, ...] for index in range(count)]
    for size, want in zip(parts[0].shape if parts else (), tensor.shape or (), strict=False):
        if isinstance(want, int) and want != size:
            raise BuildError(f"{path} has {tensor.name} in samples of {list(parts[0].shape)}; expected {shown(tensor)}")
    return parts


def shown(tensor: Tensor) -> str:
    """As people write it: `FP32 [batch, 3, ?]`."""
    if tensor.shape is None:
        return f"{tensor.datatype} of any rank"
    return f"{tensor.datatype} [{', '.join('?' if size is None else str(size) for size in tensor.shape)}]"
