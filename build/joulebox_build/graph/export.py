"""From a trained torch network to one ONNX file."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Generator

import numpy as np
import torch
from torch import nn

from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.canonical import OUTPUT, canonical_bytes
from joulebox_build.graph.layers import layer_names

OPSET = 18


def export(network: nn.Module, given: ModelInput) -> bytes:
    """See `export_named`."""
    return export_named(network, given)[0]


def export_named(network: nn.Module, given: ModelInput) -> tuple[bytes, list[str]]:
    """The network for inference as ONNX: a free batch dimension, batch norms folded into convolutions.

    With it, for each of its nodes, the module it comes from: `2.body.0.0 Conv`.

    Raises:
        RecipeError: the network has something that ONNX cannot express.
    """
    network.eval()
    example = torch.from_numpy(np.zeros((2, *given.shape), given.dtype))  # a batch of one would be taken for a constant
    try:
        with quiet():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=[given.name],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise RecipeError(
            f"model: the network cannot be exported to ONNX: {str(error).strip().splitlines()[0]}"
        ) from error
    if program is None:
        raise RecipeError("model: the network cannot be exported to ONNX: the exporter gave nothing")
    return canonical_bytes(program.model_proto), layer_names(program.model_proto)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Keeps the exporter's and the quantizer's chatter off the terminal; exceptions carry what matters."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
