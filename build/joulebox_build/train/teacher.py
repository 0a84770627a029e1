"""The teacher: training one with a recipe's settings, keeping its weights in half precision, and loading it."""

# torch, or safetensors, annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import RecipeError
from joulebox_build.files import replace_atomically
from joulebox_build.progress import Progress
from joulebox_build.recipe import Recipe
from joulebox_build.train.fit import Epoch, Lesson, fit
from joulebox_build.train.model import ModelFolder, logits, normalizer, parameters, seeded


@dataclass(frozen=True)
class Trained:
    network: nn.Module
    history: list[Epoch]
    seconds: float


def train_teacher(recipe: Recipe, folder: ModelFolder, data: Dataset, progress: Progress) -> Trained:
    """Trains the recipe's teacher on labels, over a fresh augmentation of each image in each epoch."""
    images, labels = torch.from_numpy(data.train.images), torch.from_numpy(data.train.labels)
    views = torch.Generator().manual_seed(recipe.seed)

    def batch(_: int, index: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return folder.augment(images[index], views), lambda outputs: nn.functional.cross_entropy(outputs, labels[index])

    network = seeded(folder.teacher, recipe.seed)
    lesson = Lesson(len(data.train), batch, data.validation, normalizer(recipe.preprocess), recipe.seed)
    started = time.monotonic()
    history = fit(network, lesson, recipe.teacher.training, progress)
    return Trained(network, history, time.monotonic() - started)


def save_weights(network: nn.Module, path: Path) -> None:
    """Floating-point weights as fp16, in the safetensors format, which cannot run code."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    replace_atomically(path, lambda temporary: save_file(state, temporary))


def weights_path(recipe: Recipe) -> Path:
    """Where the weights are.

    Raises:
        RecipeError: they are not there.
    """
    path = recipe.path(recipe.teacher.weights)
    if not path.is_file():
        raise RecipeError(
            f"teacher.weights: {path} does not exist; `joulebox teacher {recipe.folder}/recipe.yaml` trains them"
        )
    return path


def load_teacher(recipe: Recipe, folder: ModelFolder) -> nn.Module:
    """The teacher with the recipe's weights, in float32.

    Raises:
        RecipeError: the weights are missing or do not fit the network.
    """
    path = weights_path(recipe)
    network = seeded(folder.teacher, recipe.seed)
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, RuntimeError) as error:
        raise RecipeError(
            f"teacher.weights: {path} does not fit teacher() of {recipe.model}: {str(error).splitlines()[0]}"
        ) from error
    return network


def write_card(recipe: Recipe, data: Dataset, trained: Trained, folder: ModelFolder) -> Path:
    """How the teacher was made, in which time and with which result, from the weights as saved."""
    saved = load_teacher(recipe, folder)
    normalize = normalizer(recipe.preprocess)
    accuracy = {
        name: float((logits(saved, split.images, normalize).argmax(1) == split.labels).mean())
        for name, split in (("validation", data.validation), ("test", data.test))
    }
    training = recipe.teacher.training
    weights = recipe.path(recipe.teacher.weights)
    lines = [
        f"# The {recipe.name} teacher",
        "",
        "Written by `joulebox teacher`; the weights beside this page are in half precision, and so are the figures.",
        "",
        "| what | figure |",
        "| --- | --- |",
        f"| test accuracy | {accuracy['test']:.2%} of {len(data.test):,} |",
        f"| validation accuracy | {accuracy['validation']:.2%} of {len(data.validation):,} |",
        f"| parameters | {parameters(saved):,} |",
        f"| file | `{weights.name}`, {weights.stat().st_size:,} bytes |",
        f"| training samples | {len(data.train):,}, augmented per image by `{recipe.data}` |",
        (
            f"| schedule | {training.epochs} epochs, batch {training.batch}, one-cycle SGD to {training.learning_rate},"
            f" weight decay {training.weight_decay}, seed {recipe.seed} |"
        ),
        f"| wall time | {trained.seconds / 60:.0f} minutes on {torch.get_num_threads()} {platform.machine()} cores |",
        f"| made with | torch {torch.__version__} |",
        "",
        "| epoch | loss | validation accuracy |",
        "| --- | --- | --- |",
        *(
            f"| {n} | {epoch.loss:.4f} | {epoch.validation_accuracy:.2%} |"
            for n, epoch in enumerate(trained.history, 1)
        ),
        "",
    ]
    path = recipe.folder / "TEACHER.md"
    replace_atomically(path, lambda temporary: temporary.write_text("\n".join(lines), "utf-8"))
    return path
