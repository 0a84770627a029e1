"""An ONNX graph in one canonical, small form: the same computation gives the same bytes, wherever it was exported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import onnx

OUTPUT = "logits"


def canonical_bytes(model: onnx.ModelProto) -> bytes:
    """The model without what does not compute: producer, paths, comments, shapes of inner tensors, long names.

    Tensors are numbered in the order of their use, equal constants are kept once; inputs and outputs keep their names.
    """
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    graph = kept.graph
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string", "metadata_props"):
        kept.ClearField(field)
    _keep_used_domains(kept)
    for field in ("doc_string", "value_info", "metadata_props", "quantization_annotation"):
        graph.ClearField(field)
    graph.name = "model"
    _strip(graph.node, ("name", "doc_string", "metadata_props"))
    _strip([*graph.input, *graph.output, *graph.initializer], ("doc_string", "metadata_props"))
    _merge_constants(graph)
    _rename(graph, _numbering(graph))
    return kept.SerializeToString(deterministic=True)


def _keep_used_domains(model: onnx.ModelProto) -> None:
    used = {node.domain for node in model.graph.node} | {""}
    imports = sorted((entry.domain, entry.version) for entry in model.opset_import if entry.domain in used)
    model.ClearField("opset_import")
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in imports)


def _strip(messages: Iterable[Any], fields: Iterable[str]) -> None:
    for message in messages:
        for field in fields:
            message.ClearField(field)


def _merge_constants(graph: onnx.GraphProto) -> None:
    """Initializers of equal type, shape and content become one; unused ones go. Those left follow their first use."""
    by_name = {tensor.name: tensor for tensor in graph.initializer}
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    kept: list[onnx.TensorProto] = []
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name not in by_name:
                continue
            array = onnx.numpy_helper.to_array(by_name[name])
            content = (by_name[name].data_type, array.shape, array.tobytes())
            if content not in first:
                first[content] = name
                kept.append(onnx.numpy_helper.from_array(array, name))
            node.input[position] = first[content]
    graph.ClearField("initializer")
    graph.initializer.extend(kept)


def _numbering(graph: onnx.GraphProto) -> Callable[[str], str]:
    """From a tensor's name to its number in the order of use; the empty name means that an input is left out."""
    fixed = {value.name for value in (*graph.input, *graph.output)} | {""}
    numbers: dict[str, str] = {}

    def rename(name: str) -> str:
        return name if name in fixed else numbers.setdefault(name, str(len(numbers)))

    return rename


def _rename(graph: onnx.GraphProto, rename: Callable[[str], str]) -> None:
    for node in graph.node:
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = rename(tensor.name)
