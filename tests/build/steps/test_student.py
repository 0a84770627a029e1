"""Each way to train a student goes on, after a kill, to the same bytes, and is refused in one line where it cannot be."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from joulebox_build import steps
from joulebox_build.errors import DataError, RecipeError
from joulebox_build.job import Job, open_job
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Artifact, Stages
from joulebox_build.train import fit

WAYS: dict[str, dict[str, Any]] = {
    "decoupled": {"method": "decoupled", "mixup": 0.3},
    "none": {"method": "none", "patience": 9},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "average": 0.9},
    "unlabelled": {"unlabelled": True, "mixup": 0.3},
    "hints": {"hints": [{"teacher": "2", "student": "2"}, {"teacher": "7", "student": "7"}], "average": 0.9},
}
MORE = "Dataset(('across', 'down', 'diagonal'), train, validation, stripes(300, TEST_SEED), stripes(90, 5).inputs)"


def opened(folder: Path, cache: Path, write_recipe: Any, **distill: Any) -> Job:
    edited = write_recipe(folder, lambda recipe: recipe["profiles"]["quick"]["distill"].update(distill))
    return open_job(load_recipe(edited), "quick", Stages(cache))


def student(job: Job) -> Artifact:
    return steps.student(job, steps.all_taught(job, steps.teacher(job)))


def killed_after(epochs: int) -> Callable[..., None]:
    keep = fit._keep
    kept: list[Any] = []

    def keep_and_die(*arguments: Any) -> None:
        keep(*arguments)
        kept.append(arguments)
        if len(kept) == epochs:
            raise InterruptedError

    return keep_and_die


@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any, way: str
) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))  # with the teacher as ONNX
    data = folder / "data.py"
    text = data.read_text("utf-8")
    start = text.index("return Dataset") + len("return ")
    data.write_text(text.replace(text[start : text.index("\n", start)], MORE), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_keep", killed_after(2))
        with pytest.raises(InterruptedError):
            student(opened(folder, cache, write_recipe, **WAYS[way]))
    assert len(list(cache.glob(".scratch-distill-*/checkpoint.pt"))) == 1
    resumed = student(opened(folder, cache, write_recipe, **WAYS[way]))
    other = Path(shutil.copytree(first_build.cache, tmp_path / "other"))
    straight = student(opened(folder, other, write_recipe, **WAYS[way]))
    assert not resumed.cached
    assert not straight.cached
    assert resumed.files == straight.files
    assert len(resumed.json(steps.HISTORY)) == 4


def test_projections_of_hints_are_dropped(first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))
    job = opened(folder, cache, write_recipe, hints=[{"teacher": "2", "student": "2"}])
    hinted = safetensors.torch.load(student(job).files["weights.safetensors"])
    assert hinted.keys() == job.folder.student().state_dict().keys()


def test_without_a_teacher_none_is_asked(first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))
    job = opened(folder, cache, write_recipe, method="none")
    student(job)
    assert {made.stage for made in job.stages.log} == {"teacher", "distill"}


@pytest.mark.parametrize(
    ("distill", "message"),
    [
        ({"hints": [{"teacher": "99", "student": "2"}]}, r"hints: teacher: '99' is no module of teacher\(\)"),
        (
            {"hints": [{"teacher": "2", "student": "8"}]},
            r"student '8' gives \(2, 3\), teacher '2' gives \(2, 16, 12, 12\)",
        ),
        ({"unlabelled": True}, r"unlabelled: true; load\(\) in data\.py gives a Dataset without"),
        ({"method": "none", "unlabelled": True}, r"none; hints and unlabelled data need a teacher"),
        ({"optimizer": "adamw"}, "learning_rate: missing"),
        ({"memory_mib": 1, "epochs": 5}, r"memory_mib: 1; training holds up to \d+ MiB"),
    ],
)
def test_what_cannot_be_is_refused(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any, distill: dict[str, Any], message: str
) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))

    def edit(recipe: dict[str, Any]) -> None:
        settings = recipe["profiles"]["quick"]["distill"]
        settings.update(distill)
        if "optimizer" in distill:
            del settings["learning_rate"]

    with pytest.raises(RecipeError, match=message) as caught:
        student(open_job(load_recipe(write_recipe(folder, edit)), "quick", Stages(cache)))
    assert "\n" not in str(caught.value)


def test_hints_from_a_finished_file_are_refused(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    (folder / "teacher.onnx").write_bytes(first_build.built.made.teacher.content)

    def edit(recipe: dict[str, Any]) -> None:
        recipe["teacher"]["members"] = [{"onnx": "teacher.onnx"}]
        recipe["profiles"]["quick"]["distill"]["hints"] = [{"teacher": "2", "student": "2"}]

    with pytest.raises(RecipeError, match="need a teacher with weights"):
        open_job(load_recipe(write_recipe(folder, edit)), "quick", Stages(tmp_path / "new"))


def test_hints_that_fit_no_module_are_refused_before_the_teacher_is_asked(
    folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    def edit(recipe: dict[str, Any]) -> None:
        recipe["profiles"]["quick"]["distill"]["hints"] = [{"teacher": "99", "student": "2"}]

    stages = Stages(tmp_path / "new")
    with pytest.raises(RecipeError, match=r"'99' is no module of teacher\(\)"):
        open_job(load_recipe(write_recipe(folder, edit)), "quick", stages)
    assert not stages.log


def test_unlabelled_inputs_of_another_shape_are_refused(folder: Path, tmp_path: Path, write_recipe: Any) -> None:
    data = folder / "data.py"
    old = "stripes(300, TEST_SEED))"
    data.write_text(
        data.read_text("utf-8").replace(old, f"{old[:-1]}, np.arange(162, dtype=np.uint8).reshape(2, 1, 9, 9))"),
        "utf-8",
    )
    with pytest.raises(
        DataError, match=r"unlabelled inputs are uint8 \[2, 1, 9, 9\]; expected uint8 \[None, 1, 12, 12\]"
    ):
        opened(folder, tmp_path / "new", write_recipe)


def test_a_limit_on_memory_changes_nothing_that_was_learnt(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))
    assert student(opened(folder, cache, write_recipe, memory_mib=4000)).cached
