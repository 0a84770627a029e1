"""Pruning as a stage of a build: smaller, still right, repeatable, and gone on with after a kill."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from joulebox.package import open_package
from joulebox_build import steps
from joulebox_build.errors import RecipeError
from joulebox_build.graph.inference import outputs
from joulebox_build.job import Job, open_job
from joulebox_build.pipeline import build, pack
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Artifact, Stages
from joulebox_build.steps.artifacts import HISTORY, PLAN, PRUNING
from macs import multiply_accumulates
from stagefiles import files_of

TWO_ROUNDS = {"macs": 0.5, "rounds": 2, "round_to": 2, "epochs": 2}


@pytest.fixture
def pruning(folder: Path, write_recipe: Any) -> Any:
    """Writes the tiny recipe with these settings."""

    def write(settings: dict[str, Any]) -> Path:
        return write_recipe(folder, lambda recipe: recipe["profiles"]["quick"].update(prune=settings))

    return write


def job_of(recipe: Path, first_build: Any) -> Job:
    """With all that the first build made in its cache."""
    return open_job(load_recipe(recipe), "quick", Stages(first_build.cache))


def pruned(job: Job) -> tuple[Artifact, Artifact]:
    """The student, and what is left of it."""
    teacher = steps.teacher(job)
    soft = steps.all_taught(job, teacher)
    student = steps.student(job, soft)
    return student, steps.pruned(job, student, soft)


def test_half_of_the_work_is_gone_and_the_student_still_right(pruning: Any, first_build: Any) -> None:
    job = job_of(pruning(TWO_ROUNDS), first_build)
    student, small = pruned(job)
    before, after = steps.fp32(job, student), steps.fp32(job, small)
    assert multiply_accumulates(after.content) <= multiply_accumulates(before.content) / 2
    assert after.bytes < before.bytes
    assert after.parameters < before.parameters
    accuracy = [
        (steps.answers(job, model, "validation").argmax(1) == job.data.validation.labels).mean()
        for model in (before, after)
    ]
    assert accuracy[1] > accuracy[0] - 0.05
    rounds = small.json(PRUNING)
    sizes = [each["size"]["multiply_accumulates"] for each in rounds]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert rounds[-1]["size"]["parameters"] == after.parameters
    assert rounds[-1]["accuracy"] == pytest.approx(accuracy[1], abs=0.02)
    assert len(small.json(HISTORY)) == len(student.json(HISTORY)) + 4


@pytest.mark.parametrize(
    "settings",
    [
        {"ratio": 0.3},
        pytest.param({"bytes": 3000}, marks=pytest.mark.slow),
        pytest.param({"latency": 0.99, "importance": "taylor"}, marks=pytest.mark.slow),
    ],
)
def test_other_targets_are_met(pruning: Any, first_build: Any, settings: dict[str, Any]) -> None:
    job = job_of(pruning({**settings, "round_to": 2, "epochs": 1}), first_build)
    _, small = pruned(job)
    first, last = (sum(each["size"]["channels"].values()) for each in small.json(PRUNING))
    if "ratio" in settings:
        assert last <= 0.7 * first
    if "bytes" in settings:
        assert len(steps.fp32(job, small).content) <= 3000
    assert last <= first


def test_what_cannot_be_met_is_said(pruning: Any, first_build: Any) -> None:
    job = job_of(pruning({"macs": 0.001}), first_build)
    with pytest.raises(RecipeError, match=r"prune: macs [\d.]+ cannot be met: \d+ are left"):
        pruned(job)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"macs": 0.5, "ratio": 0.5}, "prune: names ratio, macs; expected exactly one of ratio, macs, bytes, latency"),
        ({}, "prune: names no target; expected exactly one"),
        ({"macs": 0}, "profiles.quick.prune.macs: 0; input should be greater than 0"),
        ({"macs": 0.5, "depth": 1}, "profiles.quick.prune.depth: unknown key"),
    ],
)
def test_settings_that_cannot_be_are_refused(pruning: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(pruning(settings))


KILLED = """
import os, signal, sys
from pathlib import Path
from joulebox_build.commands.build import build
from joulebox_build.steps import prune
keep, epochs = prune.fit.__globals__["_keep"], []
def keep_and_die(path, *arguments):
    keep(path, *arguments)
    epochs.append(path) if "prune-" in str(path) else None
    if len(epochs) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
prune.fit.__globals__["_keep"] = keep_and_die
build(Path(sys.argv[1]), Path(sys.argv[2]), "quick", as_json=True)
"""


def test_a_build_killed_in_a_round_goes_on_to_the_same_bytes(
    pruning: Any, first_build: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = pruning(TWO_ROUNDS), tmp_path / "out"
    whole = pruned(job_of(recipe, first_build))[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(recipe), str(out)]
    killed = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(cache.glob("prune-*"))) == 1  # the first round is kept, the second was on its way
    epochs: list[str] = []
    monkeypatch.setattr(
        "joulebox_build.progress._OnBar.say", lambda _, text: epochs.append(text) if "loss" in text else None
    )
    built = build(load_recipe(recipe), "quick", Stages(cache))
    assert len(epochs) == 1
    resumed = [made for made in built.job.stages.log if made.stage == "prune"]
    assert [made.cached for made in resumed] == [True, False]
    assert files_of(built.job.stages, resumed[-1]) == whole.files
    assert len(whole.json(PLAN)) == 2
    package = open_package(pack(built, out).folder)
    with np.load(io.BytesIO(package.read("golden.npz"))) as golden:
        for variant in package.manifest.variants:
            content = package.read(variant.file)
            onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
            off = np.abs(outputs(content, golden["input.image"]) - golden["output.logits"]).max()
            assert off <= variant.golden_tolerance
