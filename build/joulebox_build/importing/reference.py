"""What a finished model answers: run as it is written, to have something that every variant is held against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime

from joulebox.engine.onnxruntime import external_data, first_line
from joulebox.runtime.golden import distance
from joulebox_build.errors import BuildError
from joulebox_build.graph.inference import PROVIDER
from joulebox_build.graph.onnxfile import OnnxFile, Tensor
from joulebox_build.graph.onnxgraph import Precision
from joulebox_build.importing.samples import Sample, shown

ort: Any = onnxruntime  # its stubs are partial

JOINED = 4  # pairs of samples are run as batches of two
# Another host may differ by what optimising changes here times MARGIN, plus SLACK of the largest output: it sums in
# another order, rounds halves elsewhere, and without VNNI saturates int8 otherwise.
MARGIN = 4.0
SLACK: dict[Precision, float] = {"fp64": 1e-9, "fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2, "mixed": 1e-2, "int8": 2e-2}
DRIFT_MAX = 0.25  # of the largest output: where optimising changes more than that, goldens would let anything through
SLACK_LEAST = 1e-7  # where all outputs are 0, or there is no float among them


class Refused(Exception):
    """ONNX Runtime does not take this input; the message is its first line."""


class Reference:
    """The model in ONNX Runtime without any graph optimisation, on one thread: what the file says, node by node."""

    def __init__(self, file: OnnxFile) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            with external_data(options, file.external):
                self._session = ort.InferenceSession(file.content, options, providers=[PROVIDER])
        except Exception as error:  # onnxruntime raises several unrelated types
            raise BuildError(f"ONNX Runtime {ort.__version__} cannot run it: {first_line(error)}") from error
        self._outputs = [tensor.name for tensor in file.outputs]

    def run(self, sample: Sample) -> Sample:
        """The outputs for one request.

        Raises:
            Refused: the model does not take it.
        """
        try:
            results = self._session.run(self._outputs, sample)
        except Exception as error:
            raise Refused(first_line(error)) from error
        return dict(zip(self._outputs, results, strict=True))

    def answers(self, samples: Iterable[Sample]) -> list[Sample]:
        """The outputs of each sample, which have to be the same each time.

        Raises:
            Refused: the model does not take one.
            BuildError: it answers differently the second time.
        """
        answers: list[Sample] = []
        for sample in samples:
            once, again = self.run(sample), self.run(sample)
            for name, output in once.items():
                if not same(output, again[name]):
                    raise BuildError(
                        f"the model is not deterministic: output {name!r} differs between two runs on one input, so no "
                        "host could be checked against golden samples; export it for inference, without random operators"
                    )
            answers.append(once)
        return answers


def same(a: Any, b: Any, within: float = 0.0) -> bool:
    """Whether shapes and values are equal, floats to an absolute difference."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return distance(a, b) <= within if a.dtype.kind == "f" else bool(np.array_equal(a, b))


def unbatched_by_shape(file: OnnxFile, *, named: bool = True) -> str | None:
    """What in the declared shapes speaks against a batch; None where nothing does.

    `named`: the inputs' first dimensions also have to have one name. Exporters name those of outputs as they like.
    """
    for kind, tensors in (("input", file.inputs), ("output", file.outputs)):
        for tensor in tensors:
            unknown = kind == "output" and tensor.shape is None
            if not unknown and (not tensor.shape or isinstance(tensor.shape[0], int)):
                return f"{kind} {tensor.name} is {shown(tensor)}, whose first dimension is not free"
    names = {_first(tensor) for tensor in file.inputs}
    if named and len(names) > 1:
        return f"the first dimensions of the inputs have several names: {', '.join(sorted(names))}"
    return None


def _first(tensor: Tensor) -> str:
    return str(tensor.shape[0] or "?") if tensor.shape else "?"


def unbatched_by_run(reference: Reference, samples: Sequence[Sample], precision: Precision) -> str | None:
    """What the answers to two samples at once show against a batch; None where they are the two single answers."""
    for name, array in samples[0].items():
        if len(array) != 1:
            return f"a sample of input {name} has shape {list(array.shape)}, expected a batch of one"
    pairs = list(pairwise(samples))[:JOINED] or [(samples[0], _other(samples[0]))]
    for left, right in pairs:
        joined = {name: np.concatenate([array, right[name]]) for name, array in left.items()}
        try:
            one, two, both = reference.run(left), reference.run(right), reference.run(joined)
        except Refused as error:
            return f"two samples in one batch are refused: {error}"
        for name, output in both.items():
            if not one[name].ndim or len(one[name]) != 1 or one[name].shape[1:] != two[name].shape[1:]:
                return f"output {name} has shape {list(one[name].shape)} for one sample, expected a batch of one"
            expected = np.concatenate([one[name], two[name]])
            if not same(output, expected, SLACK[precision] * magnitude([expected])):
                return f"output {name} of two samples in one batch is not that of each by itself"
    return None


def _other(sample: Sample) -> Sample:
    """A second sample, where there is only one: its floats halved."""
    return {name: array * array.dtype.type(0.5) if array.dtype.kind == "f" else array for name, array in sample.items()}


def magnitude(outputs: Iterable[Any]) -> float:
    """The largest finite absolute value among the floats; 0 where there is none."""
    floats = [np.abs(array.astype(np.float64)) for array in outputs if array.dtype.kind == "f"]
    return max((float(np.max(array, initial=0.0, where=np.isfinite(array))) for array in floats), default=0.0)


def tolerance(precision: Precision, expected: Sequence[Sample], actual: Sequence[Sample]) -> float:
    """The largest absolute difference that a host is let through with, in two digits.

    Raises:
        BuildError: the model answers differently when ONNX Runtime optimises it.
    """
    off = max(
        (
            distance(answer[name], output)
            for outputs, answer in zip(expected, actual, strict=True)
            for name, output in outputs.items()
            if output.dtype.kind == "f"
        ),
        default=0.0,
    )
    largest = magnitude(output for outputs in expected for output in outputs.values())
    if off > DRIFT_MAX * largest:
        raise BuildError(
            f"ONNX Runtime's optimisations change the answers by {off:.3g}, where the largest is {largest:.3g}; "
            "give --samples with typical inputs"
        )
    return float(f"{max(MARGIN * off + SLACK[precision] * largest, SLACK_LEAST):.2g}")
