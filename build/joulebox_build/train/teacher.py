"""Teachers: training the recipe's own, keeping their weights in half precision, and each as ONNX."""

# torch, or safetensors, annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from joulebox_build.data.dataset import Dataset, Inputs
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.export import export
from joulebox_build.progress import Progress
from joulebox_build.recipe import Member, Recipe, Training
from joulebox_build.train.fit import Epoch, Lesson, fit
from joulebox_build.train.memory import inputs_bytes
from joulebox_build.train.model import ModelFolder, parameters, seeded


@dataclass(frozen=True)
class Course:
    """What a teacher is trained on, and how."""

    folder: ModelFolder
    data: Dataset
    given: ModelInput
    training: Training
    seed: int


def train_teacher(course: Course, progress: Progress, checkpoint: Path | None = None) -> tuple[nn.Module, list[Epoch]]:
    """Trains a teacher on labels, over a fresh augmentation of each sample in each epoch. See `fit` for the checkpoint."""
    train, seed, augment = course.data.train, course.seed, course.folder.augment
    labels = torch.from_numpy(train.labels)

    def batch(epoch: int, index: NDArray[np.int64]) -> tuple[Inputs, Callable[[Tensor], Tensor]]:
        random = np.random.default_rng([seed, epoch, int(index[0])])
        expected = labels[index]
        return augment(train.inputs[index], random), lambda found: cross_entropy(found, expected.to(found.device))

    network = seeded(course.folder.teacher, seed)
    held = inputs_bytes(train.inputs)
    lesson = Lesson(len(train), batch, course.data.validation, course.given.encode, seed, held)
    return network, fit(network, lesson, course.training, progress, checkpoint)


def as_weights(network: nn.Module) -> bytes:
    """Floating-point weights as fp16, in the safetensors format, which cannot run code."""
    return save(
        {
            name: (value.half() if value.is_floating_point() else value).contiguous()
            for name, value in network.state_dict().items()
        }
    )


def member_path(recipe: Recipe, member: Member) -> Path:
    """Where the member's file is.

    Raises:
        RecipeError: it is not there.
    """
    path = recipe.path(member.file)
    if not path.is_file():
        tip = f"; `joulebox teacher {recipe.folder}/recipe.yaml` trains it" if member.weights else ""
        raise RecipeError(f"teacher.members: {path} does not exist{tip}")
    return path


def load_weights(recipe: Recipe, folder: ModelFolder, member: Member) -> nn.Module:
    """The teacher with the member's weights, in float32.

    Raises:
        RecipeError: the weights are missing or do not fit the network.
    """
    path = member_path(recipe, member)
    network = seeded(folder.teacher, member.seed)
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, RuntimeError) as error:
        raise RecipeError(
            f"teacher.members: {path} does not fit teacher() of {recipe.model}: {str(error).splitlines()[0]}"
        ) from error
    return network


def teacher_onnx(recipe: Recipe, folder: ModelFolder, member: Member, given: ModelInput) -> tuple[bytes, int]:
    """The member as ONNX, and its number of parameters.

    Raises:
        RecipeError: its file is missing or not what it should be.
    """
    if member.weights is not None:
        network = load_weights(recipe, folder, member)
        return export(network, given), parameters(network)
    path = member_path(recipe, member)
    try:
        model = onnx.load_from_string(path.read_bytes())
    except DecodeError as error:
        raise RecipeError(f"teacher.members: {path} is no ONNX file") from error
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise RecipeError(
            f"teacher.members: {path} has {len(model.graph.input)} inputs and {len(model.graph.output)} outputs; "
            "expected one of each"
        )
    floats = [each for each in model.graph.initializer if each.data_type != onnx.TensorProto.INT64]
    return path.read_bytes(), sum(int(np.prod(each.dims)) for each in floats)
