"""What people call the nodes of an exported graph: the module they come from, which the canonical form does not say."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from typing import Any

import onnx

SCOPES = "pkg.torch.onnx.name_scopes"  # torch's exporter: the modules that a node lies in, from outside in


def layer_names(model: onnx.ModelProto) -> list[str]:
    """A name for each node, in their order, each of them once: `2.body.0.0 Conv`."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for node in model.graph.node:
        name = f"{_module(node)} {node.op_type}".strip()
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names


def _module(node: Any) -> str:
    """By its weight, as a batch norm that was folded into a convolution leaves its own name on the node."""
    weights = [name.removesuffix(".weight") for name in node.input if name.endswith(".weight")]
    if weights:
        return weights[0]
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            scopes: list[str] = ast.literal_eval(entry.value)
            return scopes[-2] if len(scopes) > 1 else ""
    return ""


def named(model: onnx.ModelProto, layers: Sequence[str] | None) -> onnx.ModelProto:
    """The model with those names on its nodes; where there are none, or they do not fit, with its own or made-up ones."""
    nodes = model.graph.node
    own = [node.name for node in nodes]
    names = layers if layers and len(layers) == len(nodes) else own
    if not all(names) or len(set(names)) < len(names):
        names = layer_names(model)
    for node, name in zip(nodes, names, strict=True):
        node.name = name
    return model
