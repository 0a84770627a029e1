"""Multinomial logistic regression: on what the student takes, or on counts of words."""

# scikit-learn annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from joulebox_build.data.encode import ModelInput
from joulebox_build.graph.canonical import OUTPUT, canonical_bytes
from joulebox_build.graph.export import OPSET

INVERSE_PENALTY = 0.1  # scikit-learn's C; its default, 1, does no better on images
_TWO = np.asarray([-0.5, 0.5])
IR_VERSION = 10  # the newest that ONNX Runtime 1.20 reads


@dataclass(frozen=True)
class Linear:
    """Weights float32 `[features, classes]`, bias float32 `[classes]`, and whether the solver got to its end."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    iterations: int
    converged: bool


def fit_logistic_regression(
    inputs: Any, labels: NDArray[np.int64], *, iterations: int, inverse_penalty: float = INVERSE_PENALTY
) -> Linear:
    """L-BFGS from zero, so there is no chance in it; after so many iterations it stops wherever it is.

    Dense features are standardised first, as the solver gets nowhere on columns of unlike scales, and the penalty would
    not be the same for each; mean and scale then go into weights and bias.

    Args:
        inputs: float32 `[N, ...]`, such as normalised images, or a sparse matrix `[N, features]`.
        labels: class numbers `[N]`, each class at least once.
    """
    model = LogisticRegression(C=inverse_penalty, max_iter=iterations)
    scaler = StandardScaler() if isinstance(inputs, np.ndarray) else None  # which leaves a constant column's scale at 1
    flat = inputs if scaler is None else scaler.fit_transform(inputs.reshape(len(inputs), -1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged`, which the report shows
        model.fit(flat, labels)
    weights, bias = np.asarray(model.coef_, np.float64).T, np.asarray(model.intercept_, np.float64)
    if scaler is not None:
        weights = weights / np.asarray(scaler.scale_)[:, None]
        bias = bias - np.asarray(scaler.mean_) @ weights
    if weights.shape[1] == 1:  # of two classes, scikit-learn keeps the second one's only
        weights, bias = weights * _TWO, bias * _TWO
    done = int(np.max(model.n_iter_))
    return Linear(weights.astype(np.float32), bias.astype(np.float32), done, done < iterations)


def to_onnx(linear: Linear, given: ModelInput) -> bytes:
    """The same as an ONNX model of the same input, so that it is measured like the networks."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [given.name], ["features"], axis=1),
            helper.make_node("Gemm", ["features", "weights", "bias"], [OUTPUT]),
        ],
        "model",
        [helper.make_tensor_value_info(given.name, onnx.TensorProto.FLOAT, ["batch", *given.shape])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", len(linear.bias)])],
        [numpy_helper.from_array(linear.weights, "weights"), numpy_helper.from_array(linear.bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return canonical_bytes(model)
