"""A model folder's own functions, run so that what goes wrong in them is one line, which says where."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs
from joulebox_build.errors import BuildError, RecipeError

Encode = Callable[[Inputs], NDArray[Any]]
"""From samples to the tensor that a network takes, batch first."""
Augment = Callable[[Inputs, np.random.Generator], Inputs]
"""Changes each sample by itself, with no chance in it but the generator's."""


def guarded(path: Path, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The file's function; what it raises becomes a RecipeError, with its own error as the cause."""

    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except BuildError:
            raise
        except Exception as error:
            raise RecipeError(f"{place(error, path)}: {name}() fails: {described(error)}") from error

    return call


def augmenting(path: Path, augment: Augment) -> Augment:
    """The file's `augment()`, held to what it is for: as many samples, of the same shape and type."""

    def call(inputs: Inputs, random: np.random.Generator) -> Inputs:
        seen = augment(inputs, random)
        _check(path, "augment", seen)
        if (seen.dtype, seen.shape) != (inputs.dtype, inputs.shape):
            raise RecipeError(
                f"{path}: augment() gives {seen.dtype} {list(seen.shape)} for {inputs.dtype} {list(inputs.shape)}; "
                "expected as many samples, of the same shape and type"
            )
        return seen

    return call


def encoding(path: Path, encode: Encode) -> Encode:
    """The file's `teacher_encode()`, which may change what it is given, held to a row for each sample."""

    def call(inputs: Inputs) -> NDArray[Any]:
        found = encode(np.array(inputs))
        _check(path, "teacher_encode", found)
        if found.shape[:1] != (len(inputs),):
            raise RecipeError(
                f"{path}: teacher_encode() gives {found.dtype} {list(found.shape)} for {len(inputs)} samples; "
                "expected a row for each"
            )
        return found

    return call


def place(error: BaseException, path: Path) -> str:
    """The file, and the last of its lines on the way to the error where there is one."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)


def described(error: BaseException) -> str:
    """In one line."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _check(path: Path, name: str, found: object) -> None:
    if not isinstance(found, np.ndarray):
        raise RecipeError(f"{path}: {name}() gives {type(found).__name__}; expected a NumPy array")
