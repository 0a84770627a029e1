"""Gradient-boosted trees on what the student takes: scikit-learn's, on histograms of the features."""

# scikit-learn and onnx annotate only part of themselves.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from joulebox_build.data.encode import ModelInput
from joulebox_build.graph.canonical import OUTPUT, canonical_bytes
from joulebox_build.graph.export import OPSET
from joulebox_build.judge.linear import IR_VERSION

LEAVES, BINS = (
    15,
    64,
)  # of a tree, and of a feature's histogram: a fifth of the time of the defaults, for about as much accuracy
TREES_OPSET = 3  # of ai.onnx.ml


def fit_boosting(
    inputs: NDArray[np.float32], labels: NDArray[np.int64], *, iterations: int
) -> HistGradientBoostingClassifier:
    """So many trees for each class (one in all where there are two), without chance, as no sample is held out.

    Args:
        inputs: float32 `[N, ...]`.
        labels: class numbers `[N]`, each class at least once.
    """
    untyped: Any = HistGradientBoostingClassifier  # its stub knows no early_stopping=False
    model = untyped(max_iter=iterations, max_leaf_nodes=LEAVES, max_bins=BINS, early_stopping=False, random_state=0)
    return model.fit(inputs.reshape(len(inputs), -1), labels)


def to_onnx(model: HistGradientBoostingClassifier, given: ModelInput) -> bytes:
    """The same as an ONNX model of the same input, whose outputs are the trees' sums, to be read as logits."""
    helper: Any = onnx.helper  # its stubs know no attributes
    count = len(_base(model))
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=count,
        base_values=_base(model),
        **_attributes(model),
    )
    graph = helper.make_graph(
        [helper.make_node("Flatten", [given.name], ["features"], axis=1), trees],
        "model",
        [helper.make_tensor_value_info(given.name, onnx.TensorProto.FLOAT, ["batch", *given.shape])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", count])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    return canonical_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION))


def parameters(model: HistGradientBoostingClassifier) -> int:
    """A threshold for each inner node, a value for each leaf."""
    return sum(len(nodes) for _, nodes in _trees(model))


def _trees(model: HistGradientBoostingClassifier) -> Iterator[tuple[int, Any]]:
    """Of each tree its class and its nodes, a structured array. Of two classes, trees are for the second one's logit."""
    for of_classes in model._predictors:  # noqa: SLF001  # there is no public way to the trees
        for number, tree in enumerate(of_classes):
            yield (number if len(of_classes) > 1 else 1), tree.nodes


def _base(model: HistGradientBoostingClassifier) -> list[float]:
    base = np.ravel(model._baseline_prediction).tolist()  # noqa: SLF001  # as above
    return base if len(base) > 1 else [0.0, *base]


def _attributes(model: HistGradientBoostingClassifier) -> dict[str, list[Any]]:
    """The trees as ONNX has them: all nodes of all trees in a row."""
    found: dict[str, list[Any]] = {}
    for number, (target, nodes) in enumerate(_trees(model)):
        leaf = nodes["is_leaf"].astype(bool)
        count, leaves = len(nodes), np.flatnonzero(leaf)
        columns = {
            "nodes_treeids": [number] * count,
            "nodes_nodeids": range(count),
            "nodes_featureids": np.where(leaf, 0, nodes["feature_idx"]).tolist(),
            "nodes_modes": ["LEAF" if one else "BRANCH_LEQ" for one in leaf],
            "nodes_values": _thresholds(np.where(leaf, 0.0, nodes["num_threshold"])),
            "nodes_truenodeids": np.where(leaf, 0, nodes["left"]).tolist(),
            "nodes_falsenodeids": np.where(leaf, 0, nodes["right"]).tolist(),
            "target_treeids": [number] * len(leaves),
            "target_nodeids": leaves.tolist(),
            "target_ids": [target] * len(leaves),
            "target_weights": nodes["value"][leaves].tolist(),
        }
        for name, column in columns.items():
            found.setdefault(name, []).extend(column)
    return found


def _thresholds(values: NDArray[np.float64]) -> list[float]:
    """The largest float32 that is not above: a float32 is at most one of them just when it is at most the other."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded).tolist()
