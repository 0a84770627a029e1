"""A model folder's own code (`model.py`, `data.py`), loaded from where the recipe names it, and what to do with its networks."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from joulebox.package.manifest import ImagePreprocess
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError, RecipeError
from joulebox_build.recipe import Recipe

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class ModelFolder:
    """What a recipe's folder has to define: two networks, the data, and how to augment it."""

    teacher: Callable[[], nn.Module]
    student: Callable[[], nn.Module]
    load: Callable[[], Dataset]
    augment: Augment


def load_folder(recipe: Recipe) -> ModelFolder:
    """Runs the folder's `model.py` and `data.py`.

    Raises:
        RecipeError: one cannot be imported or lacks a function.
    """
    model, data = (_import(recipe.path(path)) for path in (recipe.model, recipe.data))
    return ModelFolder(
        _function(model, "teacher"), _function(model, "student"), _function(data, "load"), _function(data, "augment")
    )


def _import(path: Path) -> ModuleType:
    name = f"joulebox_model_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up here
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RecipeError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _function(module: ModuleType, name: str) -> Any:
    function = getattr(module, name, None)
    if not callable(function):
        raise RecipeError(f"{module.__file__} defines no function {name}()")
    return cast(Any, function)


def load_data(folder: ModelFolder, recipe: Recipe) -> Dataset:
    """The folder's data, of the shape that the recipe's preprocessing says.

    Raises:
        DataError: the data cannot be had, or do not fit the recipe.
    """
    data = cast(object, folder.load())
    if not isinstance(data, Dataset):
        raise DataError(f"data: load() of {recipe.data} returned {type(data).__name__}; expected a Dataset")
    image = recipe.preprocess
    found, expected = data.train.images.shape[1:], (image.channels, image.height, image.width)
    if found != expected:
        raise DataError(
            f"data: {recipe.data} gives images of {list(found)}; preprocess says {list(expected)}: correct one of them"
        )
    return data


def check_networks(folder: ModelFolder, recipe: Recipe, classes: int) -> None:
    """Runs an empty input through teacher and student.

    Raises:
        RecipeError: one does not take the recipe's images, or does not give a logit for each class.
    """
    image = recipe.preprocess
    example = torch.zeros(2, image.channels, image.height, image.width)
    for name, build in (("teacher", folder.teacher), ("student", folder.student)):
        try:
            with torch.inference_mode():
                found: object = build().eval()(example)
        except Exception as error:  # whatever the folder's code raises
            reason = str(error).strip().partition("\n")[0]
            raise RecipeError(f"model: {name}() of {recipe.model} fails on {list(example.shape)}: {reason}") from error
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape != [2, classes]:
            raise RecipeError(f"model: {name}() of {recipe.model} gives {shape}; expected logits [2, {classes}]")


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with initial weights drawn from the seed, in the memory layout that CPUs convolve fastest."""
    torch.manual_seed(seed)
    return cast(nn.Module, build().to(memory_format=torch.channels_last))  # pyright: ignore[reportCallIssue, reportUnknownMemberType]  # torch's stub lacks it


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def reduced_precision() -> torch.autocast:
    """bfloat16 where the CPU multiplies it in tiles (AMX: 7 times fp32's speed); without them it gains nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_amx_tile_supported())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # torch has no public way to ask


def normalizer(preprocess: ImagePreprocess) -> Callable[[Tensor], Tensor]:
    """From uint8 `[N, C, H, W]` to the float32 that networks take, as the device does it."""
    scale, offset = (torch.from_numpy(values)[:, None, None] for values in preprocess.affine())

    def normalize(images: Tensor) -> Tensor:
        return (images * scale + offset).contiguous(memory_format=torch.channels_last)

    return normalize


def batches(images: NDArray[np.uint8], size: int = 500) -> Iterator[Tensor]:
    for start in range(0, len(images), size):
        yield torch.from_numpy(images[start : start + size])


def logits(network: nn.Module, images: NDArray[np.uint8], normalize: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
    """The network's outputs float32 `[N, classes]`."""
    network.eval()
    with torch.inference_mode(), reduced_precision():
        return np.concatenate([network(normalize(batch)).float().numpy() for batch in batches(images)])
