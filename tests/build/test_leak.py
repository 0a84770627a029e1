"""The test data are never handed to training, calibration, temperature fitting, distillation, quantization or a search: a tripwire."""

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


@pytest.fixture
def job(folder: Path, tmp_path: Path) -> Job:
    """With all that a build can make of training and validation data, and nothing made yet."""
    recipe = load_recipe(folder / "recipe.yaml")
    return guarded(pipeline.open_job(recipe, "quick", Stages(tmp_path / "empty")))


def test_what_a_build_makes_it_makes_without_a_look_at_the_test_data(first_build: Any, job: Job) -> None:
    made = pipeline.make(job)
    log = job.stages.log
    assert not any(artifact.cached and artifact.stage != "answer" for artifact in log)
    assert {"distill", "quantize", "baseline", "calibrate", "teach"} <= {artifact.stage for artifact in log}
    assert made.int8.content == first_build.built.made.int8.content
    assert made.temperatures == first_build.built.made.temperatures
    assert trial.run(job, ["accuracy"]).accuracy > 0.5  # nor does a search


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
