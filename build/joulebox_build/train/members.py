"""The teacher's members, looked at before anything runs: each file is there, takes what the teacher is given, and gives logits."""

# torch, safetensors and ONNX Runtime annotate only part of themselves.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from joulebox.engine.onnxruntime import first_line
from joulebox_build.data.dataset import Dataset
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.inference import session
from joulebox_build.recipe import Member, Recipe
from joulebox_build.train.model import ModelFolder, as_tensor, check_network
from joulebox_build.train.teacher import load_weights, member_path, teacher_onnx

SAMPLES = 2  # of the training data are run: a batch of one would hide a fixed batch
TYPES = {"FP32": "tensor(float)", "INT64": "tensor(int64)"}
SUM_OFF = 1e-3  # by which probabilities may miss 1


@dataclass(frozen=True)
class Checked:
    """What the members are held against."""

    recipe: Recipe
    folder: ModelFolder
    given: ModelInput
    data: Dataset


def find_member(recipe: Recipe, member: Member) -> Path:
    """Where the member's file is.

    Raises:
        RecipeError: it is not there.
    """
    try:
        return member_path(recipe, member)
    except RecipeError as error:
        if member.weights is None:
            raise
        raise RecipeError(f"{error}; {_own_weights(recipe.path(member.file))}") from error


def check_members(members: Sequence[Member], checked: Checked) -> None:
    """Runs two samples through each.

    Raises:
        RecipeError: a file does not fit, or does not give a finite logit for each class.
    """
    if any(member.weights for member in members):
        check_network("teacher", checked.folder.teacher, checked.given, len(checked.data.labels))
    samples = checked.given.encode(checked.data.train.inputs[:SAMPLES])
    for member in members:
        run = _run_weights if member.weights else _run_onnx
        _check_logits(f"teacher.members: {checked.recipe.path(member.file)}", run(member, checked, samples), checked)


def _own_weights(path: Path) -> str:
    return (
        "weights of your own for teacher() of model.py are put there by "
        f"`safetensors.torch.save_file(network.state_dict(), {str(path)!r})`"
    )


def _run_weights(member: Member, checked: Checked, samples: NDArray[Any]) -> NDArray[Any]:
    path = checked.recipe.path(member.file)
    try:
        with safe_open(path, "pt") as file:
            found = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping
    except SafetensorError as error:
        raise RecipeError(f"teacher.members: {path} is no safetensors file; {_own_weights(path)}") from error
    expected = {name: list(value.shape) for name, value in checked.folder.teacher().state_dict().items()}
    wrong = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if wrong:
        raise RecipeError(
            f"teacher.members: {path} does not fit teacher() of {checked.recipe.model}: {wrong[0]!r} is "
            f"{found.get(wrong[0], 'missing')}, expected {expected.get(wrong[0], 'no such name')} "
            f"({len(wrong)} of {len(expected | found)} names differ); {_own_weights(path)}"
        )
    network = load_weights(checked.recipe, checked.folder, member).eval()
    with torch.inference_mode():
        return network(as_tensor(samples)).numpy()


def _run_onnx(member: Member, checked: Checked, samples: NDArray[Any]) -> NDArray[Any]:
    path, given = checked.recipe.path(member.file), checked.given
    content, _ = teacher_onnx(checked.recipe, checked.folder, member, given)
    try:
        ready = session(content)
    except Exception as error:  # ONNX Runtime raises several unrelated types
        raise RecipeError(
            f"teacher.members: {path} cannot be run by ONNX Runtime: {first_line(error)}; "
            "expected one file with its weights inside"
        ) from error
    (takes,) = ready.get_inputs()
    named = f"teacher.members: {path} takes {takes.name!r} {takes.type} {takes.shape}"
    if takes.shape and isinstance(takes.shape[0], int):
        raise RecipeError(f"{named}, always {takes.shape[0]} at once; export it with a free first dimension")
    wanted = f"expected {TYPES[given.datatype]} [N, {', '.join(map(str, given.shape))}]"
    if takes.type != TYPES[given.datatype] or not _fits(takes.shape, given.shape):
        raise RecipeError(
            f"{named}; {wanted}: take another file, or define teacher_encode(samples) in {checked.recipe.model}, "
            "which makes what this one takes"
        )
    try:
        return np.asarray(ready.run(None, {takes.name: samples})[0])
    except Exception as error:
        raise RecipeError(f"{named} and fails on {list(samples.shape)} ({first_line(error)}); {wanted}") from error


def _fits(declared: Sequence[int | str | None], shape: tuple[int, ...]) -> bool:
    """Whether a file takes samples of the shape, by what it says of itself; a file may say nothing."""
    if not declared:
        return True
    sizes = declared[1:]
    pairs = zip(sizes, shape, strict=False)
    return len(sizes) == len(shape) and all(size == one for size, one in pairs if isinstance(size, int))


def _check_logits(named: str, found: NDArray[Any], checked: Checked) -> None:
    labels = checked.data.labels
    if found.shape != (SAMPLES, len(labels)) or found.dtype.kind != "f":
        raise RecipeError(
            f"{named} gives {found.dtype} {list(found.shape)} for {SAMPLES} samples; expected float "
            f"[{SAMPLES}, {len(labels)}], a logit for each of the labels {', '.join(labels)}: take a teacher of these classes"
        )
    if not np.isfinite(found).all():
        raise RecipeError(f"{named} gives {found[~np.isfinite(found)][0]} for training samples; expected finite logits")
    if (found >= 0).all() and (np.abs(found.sum(1) - 1) < SUM_OFF).all():
        raise RecipeError(f"{named} gives probabilities; expected logits: leave out the softmax at its end")
