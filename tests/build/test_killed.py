"""A build that is killed in any of its stages, and started again, makes the very package of one that was not."""

from pathlib import Path
from typing import Any

import pytest

from joulebox_build.job import STAGES
from killing import Uninterrupted, check_ended_alike, kill_in_each

KILLED = (*STAGES, "package")


@pytest.fixture(scope="module")
def ends(built_of_everything: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each stage a folder where the second build ended."""
    place, first = tmp_path_factory.mktemp("killed"), built_of_everything
    kill_in_each(Uninterrupted(first.built.job.recipe.file, first.cache, first.package), KILLED, place)
    return place


@pytest.mark.slow
def test_a_build_of_everything_runs_every_stage_there_is(built_of_everything: Any) -> None:
    assert {artifact.stage for artifact in built_of_everything.built.job.stages.log} == set(STAGES)


@pytest.mark.slow
@pytest.mark.parametrize("stage", KILLED)
def test_a_build_killed_there_ends_as_if_it_had_not_been(built_of_everything: Any, ends: Path, stage: str) -> None:
    check_ended_alike(built_of_everything.package, ends / stage, stage)
