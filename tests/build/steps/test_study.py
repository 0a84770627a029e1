"""A study trains both arms alike, a stage a run, and reads the test data for its figures alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from joulebox_build import steps
from joulebox_build.errors import RecipeError
from joulebox_build.job import open_job
from joulebox_build.judge.study import Study
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import INDEX, Ran, Stages
from stagefiles import files_of


def edit(recipe: dict[str, Any]) -> None:
    recipe["profiles"]["quick"] |= {
        "study": {"seeds": 2, "epochs": 2},
        "data_efficiency": {"fractions": [0.5], "epochs": 2},
    }


def run(cache: Path, path: Path) -> tuple[Study | None, list[Any], Stages]:
    stages = Stages(cache)
    job = open_job(load_recipe(path), "quick", stages)
    soft = steps.all_taught(job, steps.teacher(job))
    arms, trials = steps.gain_arms(job, soft), steps.data_trials(job)
    assert all("test" not in made.of for made in stages.log), "no choice has read the test data"
    return steps.gain(job, arms), steps.data_efficiency(job, trials), stages


def test_both_arms_are_trained_by_the_same_seeds_and_kept(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))
    path = write_recipe(folder, edit)
    study, points, stages = run(cache, path)
    assert study is not None
    assert [study.taught.method, study.alone.method] == ["hinton", "none"]
    assert study.interval is None or study.interval[0] <= study.gain <= study.interval[1]
    assert len(study.taught.test) == len(study.alone.test) == len(study.seeds) == 2
    assert [(point.fraction, point.samples) for point in points] == [(0.5, 375)]
    trained = {made.of: made for made in stages.log if made.stage == "distill"}
    assert len(trained) == 5
    half = json.loads(files_of(stages, trained["on 50% of the data"])[steps.HISTORY])
    assert len(half) == 4, "as many steps as two epochs of all"
    again = run(cache, path)
    assert again[:2] == (study, points)
    assert all(made.cached for made in again[2].log)


def test_both_arms_see_as_many_views_where_the_study_is_longer_than_the_build(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    def longer(recipe: dict[str, Any]) -> None:
        recipe["profiles"]["quick"]["distill"].update(epochs=2, views=4)
        recipe["profiles"]["quick"]["study"] = {"seeds": 2, "epochs": 3}

    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))
    _, _, stages = run(cache, write_recipe(folder, longer))
    asked = {ran.of: inputs_of(stages, ran) for ran in stages.log if ran.stage == "distill"}
    assert len(asked) == 4
    for of, inputs in asked.items():
        assert (len(inputs["logits"]) if of.startswith("with the") else inputs["settings"]["views"]) == 2


def inputs_of(stages: Stages, ran: Ran) -> dict[str, Any]:
    return json.loads((stages.folder / f"{ran.stage}-{ran.key}" / INDEX).read_text("utf-8"))["inputs"]


def test_a_study_of_no_teacher_is_refused(folder: Path, write_recipe: Any) -> None:
    def without(recipe: dict[str, Any]) -> None:
        edit(recipe)
        recipe["profiles"]["quick"]["distill"]["method"] = "none"

    with pytest.raises(RecipeError, match="study: it compares with the teacher"):
        load_recipe(write_recipe(folder, without))


def test_a_recipe_that_asks_for_no_study_has_none(first_build: Any) -> None:
    report = json.loads(first_build.package.read("report.json"))
    assert report["study"] is None
    assert report["data_efficiency"] == []
