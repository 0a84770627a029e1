"""What training will hold in memory, told before it starts."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from joulebox_build.data.dataset import Inputs
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Training
from joulebox_build.train.device import device_of
from joulebox_build.train.model import BATCH

MIB = 2**20
COPIES = {"sgd": 3, "adamw": 4}  # of the weights: themselves, their gradients, and the optimizer's moments
WORKSPACE = 96 * MIB  # compiled kernels and their buffers: measured on x86-64, with networks of 0.05 to 2 M parameters


@dataclass(frozen=True)
class Needed:
    """Bytes, estimated: the samples and the teacher's logits, all that comes with the weights, and work on one batch."""

    data: int
    weights: int
    batch: int

    @property
    def mib(self) -> int:
        return math.ceil((self.data + self.weights + self.batch) / MIB)

    def describe(self) -> str:
        parts = (f"{name} {value / MIB:.1f}" for name, value in vars(self).items())
        return f"holds up to {self.mib} MiB beside the libraries ({', '.join(parts)})"

    def check(self, memory_mib: int | None) -> None:
        """Raises RecipeError where it is above the limit."""
        if memory_mib is not None and self.mib > memory_mib:
            raise RecipeError(
                f"memory_mib: {memory_mib}; training {self.describe()}: allow that much, or make the batch smaller"
            )


def needed(network: nn.Module, example: Tensor, training: Training, data: int) -> Needed:
    """Of training the network.

    Args:
        example: two encoded samples.
        data: bytes that its lesson holds.
    """
    weights = sum(value.nbytes for value in network.state_dict().values())
    copies = COPIES[training.optimizer] + (training.average > 0) + (training.patience is not None)
    kept = _kept_for_gradients(network, example) / len(example)
    batch = (
        max(2 * kept * training.batch, kept * BATCH) + WORKSPACE
    )  # values and their gradients; or validation's values
    return Needed(data, copies * weights, math.ceil(batch))


def inputs_bytes(inputs: Inputs) -> int:
    """Of samples, texts included."""
    texts = sum(map(sys.getsizeof, inputs)) if inputs.dtype == np.object_ else 0
    return inputs.nbytes + texts


def _kept_for_gradients(network: nn.Module, example: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward one, without the weights. Changes nothing in the network."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def see(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    training = network.training
    network.eval()  # neither norms nor chance move
    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        outputs = network(example.to(device_of(network)))
    network.train(training)
    return sum(kept.values()) + outputs.nbytes
