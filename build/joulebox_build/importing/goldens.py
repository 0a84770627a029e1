"""Golden samples of a finished model: inputs, the answers to them, and what in them is the batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.errors import BuildError
from joulebox_build.graph.onnxfile import OnnxFile
from joulebox_build.importing.reference import Reference, Refused, same, unbatched_by_run, unbatched_by_shape
from joulebox_build.importing.samples import Sample, made_up, read_samples, shown
from joulebox_build.packing.seal import npz

BYTES_MAX = 64 * 2**20  # more samples than fit are left out; one is kept always


@dataclass(frozen=True)
class Goldens:
    """Samples that the model takes, and its answers. `unbatched` is why it is not batched, where it is not."""

    samples: list[Sample]
    answers: list[Sample]
    unbatched: str | None

    @property
    def batched(self) -> bool:
        return self.unbatched is None


def find_goldens(file: OnnxFile, samples: Path | None, batched: bool | None) -> Goldens:
    """Samples, their answers, and whether the first dimension is a batch, which only running can show.

    Raises:
        BuildError: no sample is taken, the model is not deterministic, or it is not batched as its owner says.
    """
    reference = Reference(file)
    unbatched = "--no-batched" if batched is False else unbatched_by_shape(file, named=batched is None)
    if unbatched is None:
        goldens = _answered(reference, file, samples, batched=True)
        unbatched = unbatched_by_run(reference, goldens.samples, file.precision)
        if unbatched is None:
            return goldens
    if batched:
        raise BuildError(f"--batched: {unbatched}")
    goldens = _answered(reference, file, samples, batched=False)
    return Goldens(goldens.samples, goldens.answers, unbatched)


def _answered(reference: Reference, file: OnnxFile, path: Path | None, *, batched: bool) -> Goldens:
    if path is not None:
        given = read_samples(path, file.inputs)
        try:
            return Goldens(given, reference.answers(given), None)
        except Refused as error:
            raise BuildError(f"the model refuses a sample of {path}: {error}") from error
    if file.random:
        raise BuildError(
            f"the model draws random numbers ({', '.join(file.random)}), so its answers to made-up inputs would be no "
            "golden samples; export it for inference, or give --samples whose answers do not depend on them"
        )
    for tensor in file.inputs:
        if tensor.shape is None:
            raise BuildError(f"the file says nothing of the rank of input {tensor.name!r}: give --samples")
    said = "they are too large"
    for made in made_up(file.inputs, batched=batched):
        try:
            return Goldens(made, reference.answers(made), None)
        except Refused as error:
            said = str(error)
    inputs = ", ".join(f"{tensor.name} {shown(tensor)}" for tensor in file.inputs)
    raise BuildError(f"the model takes no made-up inputs ({said}); give real ones with --samples: {inputs}")


def kept(goldens: Goldens, optimised: Sequence[Sample]) -> list[int]:
    """The numbers of the samples that can be goldens: of one shape, and where optimising moves floats only.

    Raises:
        BuildError: there is none.
    """
    first: list[tuple[int, ...]] | None = None
    numbers: list[int] = []
    for index, (answer, other) in enumerate(zip(goldens.answers, optimised, strict=True)):
        if not all(same(output, other[name], sys.float_info.max) for name, output in answer.items()):
            continue
        shapes = [output.shape for output in answer.values()]
        first = first or shapes
        if shapes == first:
            numbers.append(index)
    if not numbers:
        raise BuildError(
            "on no sample do whole numbers, texts and shapes stay the same when ONNX Runtime optimises the model; "
            "give --samples with typical inputs"
        )
    size = sum(array.nbytes for array in (*goldens.samples[0].values(), *goldens.answers[numbers[0]].values()))
    return numbers[: max(1, BYTES_MAX // max(1, size))]


def as_npz(goldens: Goldens, numbers: Sequence[int]) -> bytes:
    """The file of golden samples, as the manifest describes it.

    Raises:
        BuildError: there is text among them that it cannot hold.
    """
    join: Callable[[list[NDArray[Any]]], NDArray[Any]] = np.concatenate if goldens.batched else np.stack
    arrays: dict[str, NDArray[Any]] = {}
    for kind, parts in (("input", goldens.samples), ("output", goldens.answers)):
        for name in parts[0]:
            array = join([parts[index][name] for index in numbers])
            arrays[f"{kind}.{name}"] = _unicode(name, array) if array.dtype.kind == "O" else array
    return npz(arrays)


def _unicode(name: str, array: NDArray[Any]) -> NDArray[Any]:
    texts = array.astype(np.str_)
    if not np.array_equal(texts.astype(np.object_), array):
        raise BuildError(f"{name} has text that ends in a NUL character, which golden samples cannot hold")
    return texts
