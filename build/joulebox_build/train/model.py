"""A model folder's own code (`model.py`, `data.py`), loaded from where the recipe names it, and what to do with its networks."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from joulebox.package.digest import canonical, sha256
from joulebox.package.manifest import Datatype
from joulebox_build.data.dataset import Dataset, Inputs, Split
from joulebox_build.data.encode import ModelInput, model_input
from joulebox_build.errors import BuildError, DataError, RecipeError
from joulebox_build.recipe import Recipe
from joulebox_build.train.device import device_of, reduced_precision
from joulebox_build.train.foldercode import Augment, Encode, augmenting, described, encoding, guarded, place

BATCH = 500  # samples at a time, which bounds memory


@dataclass(frozen=True)
class ModelFolder:
    """What a recipe's folder defines: two networks, the data, and how to augment it.

    `teacher_encode` makes the teacher's input from samples, where that is another one than the student's.
    """

    teacher: Callable[[], nn.Module]
    student: Callable[[], nn.Module]
    load: Callable[[], Dataset]
    augment: Augment
    teacher_encode: Encode | None

    def teacher_input(self, student: ModelInput, data: Dataset) -> ModelInput:
        """What the teacher takes, where the student takes this.

        Raises:
            RecipeError: it is neither float32 nor int64.
        """
        if self.teacher_encode is None:
            return student
        encoded = self.teacher_encode(data.train.inputs[:2])
        datatypes: dict[str, Datatype] = {"float32": "FP32", "int64": "INT64"}
        datatype = datatypes.get(str(encoded.dtype))
        if datatype is None:
            raise RecipeError(f"model: teacher_encode() gives {encoded.dtype}; expected float32 or int64")
        return ModelInput("input", datatype, encoded.shape[1:], self.teacher_encode)


def load_folder(recipe: Recipe) -> ModelFolder:
    """Runs the folder's `model.py` and `data.py`.

    Raises:
        RecipeError: one cannot be imported or lacks a function.
    """
    model_path, data_path = recipe.path(recipe.model), recipe.path(recipe.data)
    model, data = import_file(model_path), import_file(data_path)
    trained = any(member.weights for member in recipe.teacher.members)
    encode = function_of(model, "teacher_encode") if hasattr(model, "teacher_encode") else None
    return ModelFolder(
        function_of(model, "teacher") if trained else nn.Identity,  # of finished files nobody builds one
        function_of(model, "student"),
        function_of(data, "load"),
        augmenting(data_path, function_of(data, "augment")),
        None if encode is None else encoding(model_path, encode),
    )


def import_file(path: Path) -> ModuleType:
    """Runs a file of a model folder.

    Raises:
        RecipeError: it cannot be imported.
    """
    name = f"joulebox_model_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up here
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RecipeError(f"{place(error, path)} cannot be imported: {described(error)}") from error
    return module


def function_of(module: ModuleType, name: str) -> Any:
    """A function that the file has to define; see `guarded`.

    Raises:
        RecipeError: it does not.
    """
    function = getattr(module, name, None)
    if not callable(function):
        raise RecipeError(f"{module.__file__} defines no function {name}()")
    return guarded(Path(module.__file__ or ""), name, function)


def load_data(folder: ModelFolder, recipe: Recipe) -> tuple[Dataset, ModelInput]:
    """The folder's data, and what the student takes of it.

    Raises:
        DataError: the data cannot be had, or do not fit the recipe.
    """
    data = cast(object, folder.load())
    if not isinstance(data, Dataset):
        raise DataError(f"data: load() of {recipe.data} returned {type(data).__name__}; expected a Dataset")
    return data, model_input(recipe.preprocess, data)


def check_network(name: str, build: Callable[[], nn.Module], given: ModelInput, classes: int) -> None:
    """Runs zeros through `teacher()` or `student()`.

    Raises:
        RecipeError: it does not take its input, or does not give a logit for each class.
    """
    example = torch.from_numpy(np.zeros((2, *given.shape), given.dtype))
    try:
        with torch.inference_mode():
            found: object = build().eval()(example)
    except BuildError:
        raise
    except Exception as error:  # whatever the folder's code raises
        reason = str(error).strip().partition("\n")[0]
        raise RecipeError(f"model: {name}() fails on {given.datatype} {list(example.shape)}: {reason}") from error
    shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != [2, classes]:
        raise RecipeError(f"model: {name}() gives {shape}; expected logits [2, {classes}]")


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with initial weights drawn from the seed."""
    torch.manual_seed(seed)
    return tuned_layout(build())


def tuned_layout(network: nn.Module) -> nn.Module:
    """The network, its weights in the memory layout that CPUs convolve fastest."""
    return cast(nn.Module, network.to(memory_format=torch.channels_last))  # pyright: ignore[reportCallIssue, reportUnknownMemberType]  # torch's stub lacks it


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of all that the network holds: weights, and what it keeps of its training."""
    state = {name: value.contiguous().flatten().view(torch.uint8) for name, value in network.state_dict().items()}
    return sha256(canonical({name: sha256(value.numpy().tobytes()) for name, value in state.items()}))


def as_tensor(array: NDArray[Any]) -> Tensor:
    """The same memory; images in the layout that CPUs convolve fastest."""
    tensor = torch.from_numpy(array)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def accuracy(network: nn.Module, split: Split, encode: Encode) -> float:
    """The part of the split on which the network is right."""
    return float((logits(network, split.inputs, encode).argmax(1) == split.labels).mean())


def logits(network: nn.Module, inputs: Inputs, encode: Encode) -> NDArray[np.float32]:
    """The network's outputs float32 `[N, classes]`."""
    network.eval()
    where = device_of(network)
    batches = (as_tensor(encode(inputs[start : start + BATCH])).to(where) for start in range(0, len(inputs), BATCH))
    with torch.inference_mode(), reduced_precision(where):
        return np.concatenate([network(batch).float().cpu().numpy() for batch in batches])
