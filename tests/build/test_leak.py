"""The test data are never handed to training, calibration, temperature fitting, distillation, quantization or a search: a tripwire.

Validation data are for choices: what is trained comes out the same whatever they are.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from joulebox_build import pipeline, steps
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.job import Job
from joulebox_build.recipe import load_recipe
from joulebox_build.search import trial
from joulebox_build.stage import Stages
from joulebox_build.steps.artifacts import HISTORY, PRUNING
from stagefiles import files_of


class TestDataRead(Exception):
    """Somebody looked."""

    __test__ = False


class Tripwire(Split):
    """A split that cannot be looked at: neither what is in it, nor how much."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise TestDataRead(name)

    def __len__(self) -> int:
        raise TestDataRead("len")


def guarded(job: Job) -> Job:
    """The same job with the tripwire in place of its test data, which cannot be loaded again either."""

    def load() -> NoReturn:
        raise TestDataRead("load")

    data: Dataset = copy.copy(job.data)
    object.__setattr__(data, "test", Tripwire(job.data.test.inputs, job.data.test.labels))
    return replace(job, data=data, folder=replace(job.folder, load=load))


def other_validation(job: Job) -> Job:
    """The same job with images that it has never seen in place of its validation data."""
    validation = job.data.test.first(len(job.data.validation))
    digests = {**job.digests, "validation": validation.digest()}
    return replace(job, data=replace(job.data, validation=validation), digests=digests)


@pytest.fixture
def job(folder: Path, tmp_path: Path) -> Job:
    """With all that a build can make of training and validation data, and nothing made yet."""
    return opened(folder / "recipe.yaml", tmp_path)


def opened(recipe: Path, tmp_path: Path) -> Job:
    return guarded(pipeline.open_job(load_recipe(recipe), "quick", Stages(tmp_path / "empty")))


def test_what_a_build_makes_it_makes_without_a_look_at_the_test_data(first_build: Any, job: Job) -> None:
    made = pipeline.make(job)
    check_made(first_build, job, made, {"distill", "quantize", "baseline", "calibrate", "teach"})
    assert trial.run(job, ["accuracy"]).accuracy > 0.5  # nor does a search


@pytest.mark.slow
def test_nor_does_a_build_of_everything_look_at_them(built_of_everything: Any, tmp_path: Path) -> None:
    job = opened(built_of_everything.built.job.recipe.file, tmp_path)
    made = pipeline.make(job)
    check_made(
        built_of_everything, job, made, {"distill", "prune", "qat", "quantize", "variant", "baseline", "calibrate"}
    )
    students = {artifact.of for artifact in job.stages.log if artifact.stage == "distill"}
    assert len(students) == 1 + 4 + 2, "the student, those of the study, and those of parts of the data"
    assert trial.run(job, ["accuracy"]).accuracy > 0.5


def check_made(first: Any, job: Job, made: pipeline.Made, stages: set[str]) -> None:
    """The same as by the build that has the test data, in these stages among others, none of them from the cache."""
    log = job.stages.once()
    assert not any(artifact.cached for artifact in log)
    assert stages <= {artifact.stage for artifact in log}
    assert made.int8.content == first.built.made.int8.content
    assert made.temperatures == first.built.made.temperatures


@pytest.mark.slow
def test_what_is_trained_is_not_trained_on_validation_data(built_of_everything: Any, tmp_path: Path) -> None:
    """Weights, the teacher's logits and the simpler methods come out the same beside other validation data; choices may not."""
    first = built_of_everything.built
    job = other_validation(pipeline.open_job(first.job.recipe, "quick", Stages(tmp_path / "empty")))
    made = pipeline.make(job)
    ours, theirs = trained(job), trained(first.job)
    assert {stage for stage, _ in ours} == TRAINED
    assert ours == theirs
    assert made.temperatures != first.made.temperatures, "which are fitted to validation data"


TRAINED = {"teach", "distill", "prune", "qat", "baseline"}
CHOSEN_ON = {HISTORY, PRUNING}  # has accuracies on validation data


def trained(job: Job) -> dict[tuple[str, str], dict[str, bytes]]:
    """By stage and what it was run on: what it made, but for its accuracies."""
    return {
        (made.stage, made.of): {
            name: content for name, content in files_of(job.stages, made).items() if name not in CHOSEN_ON
        }
        for made in job.stages.once()
        if made.stage in TRAINED
    }


def test_the_tripwire_is_one(job: Job) -> None:
    split = job.data.test
    for look in (
        lambda: split.inputs,
        lambda: split.labels,
        lambda: split.slices,
        lambda: split.take(np.asarray([0])),
        lambda: split.first(1),
        lambda: len(split.digest()),
        lambda: len(split),
        job.folder.load,
    ):
        with pytest.raises(TestDataRead):
            look()


def test_judging_runs_into_the_tripwire(first_build: Any, job: Job) -> None:
    with pytest.raises(TestDataRead):
        pipeline.judge(job, first_build.built.made)


def test_answers_to_the_test_data_run_into_the_tripwire(first_build: Any, job: Job) -> None:
    with pytest.raises(TestDataRead):
        steps.answers(job, first_build.built.made.int8, "test")
