"""Memory that one inference takes: the most that activations need at once, and all that is moved between operators.

Of an engine that runs the graph's operators in their order, and
- keeps each activation just as long as an operator ahead reads it,
- fuses quantization: what DequantizeLinear gives is read as integers, and what only QuantizeLinear reads is written so,
- does in place what changes each element by itself (an activation function), where nobody else reads the former value.

Weights come on top. Engines differ: some lay out anew, some cut a layer into tiles. What is inside If and Loop is not seen.
"""

# onnx and ONNX Runtime annotate only part of themselves.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from joulebox_build.graph.inference import PROVIDER

VIEWS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"}
IN_PLACE = {
    *("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
    *("Softplus", "Softsign", "Mish", "Erf", "Exp", "Log", "Neg", "Abs", "Sqrt"),
}

ort: Any = onnxruntime  # its stubs are partial


@dataclass(frozen=True)
class Memory:
    """Bytes of one inference of one sample."""

    peak_activation_bytes: int
    peak_operator: str  # where that is, such as `Conv`
    weight_bytes: int
    moved_bytes: int  # weights and activations read, and activations written, by each operator


def memory(models: Sequence[bytes], sample: NDArray[Any]) -> Memory:
    """Of models that are run one after another on the same encoded sample `[1, ...]`."""
    found = [_Walk(onnx.load_from_string(model), sample).memory() for model in models]
    peak = max(found, key=lambda each: each.peak_activation_bytes)
    return Memory(
        peak.peak_activation_bytes,
        peak.peak_operator,
        sum(each.weight_bytes for each in found),
        sum(each.moved_bytes for each in found),
    )


@dataclass
class _Buffer:
    """Memory of one or several tensors, from the operator that writes it to the last one that reads it."""

    size: int
    first: int = 0
    last: int = 0
    constant: bool = False
    callers: bool = False  # the model's input: nothing is done in place there
    one_reader: bool = True


@dataclass
class _Operator:
    """What it reads and writes; nothing where it is fused with another one."""

    name: str
    buffers: list[_Buffer] = field(default_factory=list[_Buffer])


class _Walk:
    """Goes through a graph, and knows where each tensor lies."""

    def __init__(self, model: onnx.ModelProto, sample: NDArray[Any]) -> None:
        self._graph = model.graph
        self._sizes = _sizes(model, sample)
        self._readers = _readers(model.graph)
        self._lies: dict[str, _Buffer] = {}
        self._activations: list[_Buffer] = []
        self._operators: list[_Operator] = []
        self._weight_bytes = 0

    def memory(self) -> Memory:
        self._begin()
        for number, node in enumerate(self._graph.node):
            self._operators.append(self._operator(number, node))
        live = [
            sum(buffer.size for buffer in self._activations if buffer.first <= number <= buffer.last)
            for number in range(len(self._operators))
        ]
        at = int(np.argmax(live))
        moved = sum(buffer.size for operator in self._operators for buffer in operator.buffers)
        return Memory(live[at], self._operators[at].name, self._weight_bytes, moved)

    def _begin(self) -> None:
        for tensor in self._graph.initializer:
            self._keep(tensor.name, onnx.numpy_helper.to_array(tensor).nbytes)
        for sparse in self._graph.sparse_initializer:
            parts = (sparse.values, sparse.indices)
            self._keep(sparse.values.name, sum(onnx.numpy_helper.to_array(part).nbytes for part in parts))
        for value in self._graph.input:
            if value.name not in self._lies:
                self._write(value.name, 0, callers=True)

    def _operator(self, number: int, node: Any) -> _Operator:
        operator, written = _Operator(node.op_type), [name for name in node.output if name]
        given = {id(self._lies[name]): self._lies[name] for name in node.input if name}
        if node.op_type == "Constant":
            self._keep(written[0], self._sizes[written[0]])
        elif all(buffer.constant for buffer in given.values()):  # an engine computes it once, on loading
            for name in written:
                packed = node.op_type == "DequantizeLinear"
                self._lies[name] = _Buffer(
                    self._lies[node.input[0]].size if packed else self._sizes[name], constant=True
                )
        elif self._shares(number, node):
            self._share(node)
        else:
            operator.buffers = [*given.values(), *(self._write(name, number) for name in written)]
            if node.domain == "ai.onnx.ml":  # trees are attributes
                operator.buffers.append(_Buffer(node.ByteSize(), constant=True))
                self._weight_bytes += node.ByteSize()
        return operator

    def _shares(self, number: int, node: Any) -> bool:
        """Whether the result lies where the first input does."""
        source = self._lies[node.input[0]]
        free = not source.callers and not source.constant and source.last <= number
        if node.op_type == "QuantizeLinear":
            return free and source.one_reader
        return node.op_type in {*VIEWS, "DequantizeLinear"} or (node.op_type in IN_PLACE and free)

    def _share(self, node: Any) -> None:
        name, source = node.output[0], self._lies[node.input[0]]
        if node.op_type == "QuantizeLinear":
            source.size = self._sizes[name]
        readers = self._readers.get(name, [])
        source.last = max([source.last, *readers])
        source.one_reader = source.one_reader and len(readers) <= 1
        self._lies[name] = source

    def _keep(self, name: str, size: int) -> None:
        self._lies[name] = _Buffer(size, constant=True)
        self._weight_bytes += size

    def _write(self, name: str, number: int, *, callers: bool = False) -> _Buffer:
        readers = self._readers.get(name, [])
        last = max([number, *readers])
        buffer = _Buffer(self._sizes[name], number, last, callers=callers, one_reader=len(readers) <= 1)
        self._lies[name] = buffer
        self._activations.append(buffer)
        return buffer


def _readers(graph: Any) -> dict[str, list[int]]:
    """Of each tensor, the numbers of the operators that read it; who reads a result comes after all of them."""
    found: dict[str, list[int]] = {}
    for number, node in enumerate(graph.node):
        for name in node.input:
            found.setdefault(name, []).append(number)
    for value in graph.output:
        found.setdefault(value.name, []).append(len(graph.node))
    return found


def _sizes(model: onnx.ModelProto, sample: NDArray[Any]) -> dict[str, int]:
    """Bytes of each activation: from a run that gives all of them, which knows the shape of any operator's result."""
    every = onnx.ModelProto()
    every.CopyFrom(model)
    results = [name for node in model.graph.node for name in node.output if name]
    given = {value.name for value in model.graph.output}
    every.graph.output.extend(onnx.ValueInfoProto(name=name) for name in results if name not in given)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(every.SerializeToString(), options, providers=[PROVIDER])
    name = session.get_inputs()[0].name
    found = session.run(results, {name: sample})
    return {name: sample.nbytes, **{key: _bytes(value) for key, value in zip(results, found, strict=True)}}


def _bytes(value: Any) -> int:
    """Of a tensor, a sequence of them, or an optional one that is none."""
    if isinstance(value, list):
        return sum(map(_bytes, cast("list[Any]", value)))
    return 0 if value is None else value.nbytes
