"""Studies: the front, the smallest that passes, trials that are stopped, and trials whose process is gone."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from joulebox_build.recipe import Profile, Search
from joulebox_build.search import owner
from joulebox_build.search.stopping import Stopping, is_behind
from joulebox_build.search.study import bound_to, counted, finished, front, sampler, smallest_that_passes

SPACE = {"x": FloatDistribution(0, 1)}
SEARCH = Search.model_validate({"space": {"x": {"low": 0, "high": 1.0}}, "stop_after": 2, "stop_margin": 0.1})
small = st.integers(0, 4)


def study(*directions: str) -> Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=directions or ("maximize", "minimize"))


def add(to: Study, values: list[float], **figures: Any) -> None:
    to.add_trial(create_trial(values=values, params={"x": 0.5}, distributions=SPACE, user_attrs=figures))


@given(st.lists(st.tuples(small, small), max_size=8))
@settings(max_examples=25, deadline=None)
def test_none_of_the_front_is_dominated_and_all_others_are(values: list[tuple[int, int]]) -> None:
    made = study()
    for accuracy, size in values:
        add(made, [accuracy, size])

    def dominated(one: tuple[float, float]) -> bool:
        return any(a >= one[0] and b <= one[1] and (a, b) != one for a, b in values)

    best = {trial.number for trial in front(made)}
    assert best == {number for number, one in enumerate(values) if not dominated(one)}


def test_the_smallest_that_passes_is_not_the_smallest() -> None:
    made = study()
    for accuracy, size, missed in ((0.9, 100, []), (0.8, 50, ["accuracy_min"]), (0.92, 100, []), (0.95, 300, [])):
        add(made, [accuracy, size], accuracy=accuracy, bytes=size, missed=missed)
    best = smallest_that_passes(finished(made))
    assert best is not None
    assert best.number == 2
    assert smallest_that_passes(finished(made)[1:2]) is None


@pytest.mark.parametrize(
    ("curve", "others", "behind"),
    [
        ([0.5, 0.69], [[0.6, 0.8]] * 4, True),
        ([0.5, 0.71], [[0.6, 0.8]] * 4, False),  # within the margin
        ([0.1], [[0.6, 0.8]] * 4, False),  # too early
        ([0.5, 0.1], [[0.6, 0.8]] * 3, False),  # too few others
        ([0.5, 0.1], [[0.6, 0.8]] * 4 + [[0.3, 0.15]], False),  # one that was finished was as bad
        ([0.5, 0.5, 0.1], [[0.6, 0.8]] * 4, False),  # none of the others trained for so long
    ],
)
def test_a_trial_of_several_objectives_is_stopped_where_all_others_were_better(
    curve: list[float], others: list[list[float]], behind: bool
) -> None:
    assert is_behind(curve, others, SEARCH) == behind


def test_a_trial_for_accuracy_alone_is_stopped_by_optunas_median() -> None:
    made, search = study("maximize"), SEARCH.model_copy(update={"objectives": ("accuracy",)})
    for accuracy in (0.7, 0.8, 0.9, 0.95):
        trial = made.ask(SPACE)
        stopping = Stopping(made, trial, search)
        stopping.epoch(accuracy - 0.1)
        stopping.epoch(accuracy)
        made.tell(trial, accuracy)
    bad = Stopping(made, made.ask(SPACE), search)
    bad.epoch(0.1)
    with pytest.raises(optuna.TrialPruned, match=r"75.00% after 2 epochs"):
        bad.epoch(0.75)


@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_a_study_that_was_interrupted_goes_on_as_one_that_was_not(kind: str) -> None:
    search = SEARCH.model_copy(update={"sampler": kind})

    def run(made: Study, trials: int) -> list[float]:
        while len(counted(made)) < trials:
            made.sampler = sampler(search, 1, len(counted(made)))
            trial = made.ask(SPACE)
            made.tell(trial, [trial.params["x"], trial.params["x"] ** 2])
        return [trial.params["x"] for trial in made.trials]

    whole, parts = study(), study()
    assert run(whole, 12) == [*run(parts, 5), *run(parts, 12)[5:]]
    assert len(set(run(whole, 12))) == 12


def test_a_trial_of_a_dead_process_is_tried_again_once() -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    made = study()
    lost, ours = made.ask(SPACE), made.ask(SPACE)
    with owner.claimed(lost), owner.claimed(ours):
        lost.set_user_attr(owner.OWNER, [lost.user_attrs[owner.OWNER][0], int(dead.stdout)])
        assert owner.take_up(made) == 1
        assert owner.take_up(made) == 0
    assert [trial.state for trial in made.trials] == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    assert [trial.number for trial in counted(made)] == [1]
    assert made.ask(SPACE).params == lost.params


def test_a_trial_gives_signs_of_life_in_whatever_stage_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "BEAT_S", 0.01)
    made = study()
    trial = made.ask(SPACE)
    with owner.claimed(trial):  # no epoch ends meanwhile
        first = _beaten(made, 0.0)
        assert _beaten(made, first) > first
    made.tell(trial, [1.0, 1.0])  # no beat comes after it, which Optuna would refuse
    last = made.trials[0].user_attrs[owner.BEAT]
    time.sleep(0.05)
    assert made.trials[0].user_attrs[owner.BEAT] == last


def _beaten(made: Study, after: float) -> float:
    for _ in range(1000):
        beat = made.trials[0].user_attrs.get(owner.BEAT, 0.0)
        if beat > after:
            return beat
        time.sleep(0.01)
    raise TimeoutError


GATED = {"gate": {"latency_p99_max_s": 0.01}}


@pytest.mark.parametrize(
    ("changed", "objectives", "parts"),
    [
        ({}, ["accuracy", "bytes"], 0),
        ({}, ["accuracy", "latency"], 1),
        (GATED, ["accuracy"], 1),
        ({"prune": {"latency": 0.5, "epochs": 1}}, ["accuracy"], 1),
        ({}, ["accuracy", "joules"], 2),
        ({"gate": {"joules_per_inference_max": 1.0}}, ["accuracy"], 2),
    ],
)
def test_a_study_is_of_one_host_where_latency_or_joules_decide(
    changed: dict[str, Any], objectives: list[str], parts: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOULEBOX_SYSFS", str(tmp_path))
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "3:50")
    profile = Profile.model_validate({"distill": {"epochs": 1}, **changed})
    search = Search.model_validate({"space": {"distill.epochs": {"low": 1, "high": 2}}, "objectives": objectives})
    here = bound_to(profile, search)
    assert len(here) == parts
    assert here == bound_to(profile, search)
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "4:60")
    assert (bound_to(profile, search) != here) == (parts == 2)
    monkeypatch.setenv("JOULEBOX_PROCFS", str(tmp_path))  # another host
    assert (bound_to(profile, search) != here) == (parts > 0)


def test_what_is_searched_over_binds_a_study_to_its_host_too() -> None:
    profile = Profile.model_validate({"distill": {"epochs": 1}})
    search = Search.model_validate({"space": {"prune.latency": {"low": 0.5, "high": 0.9}}})
    assert len(bound_to(profile, search)) == 1


@pytest.mark.parametrize(("silent_s", "lost"), [(10.0, 0), (2 * owner.SILENT_S, 1)])
def test_a_process_on_another_machine_is_taken_for_dead_when_it_is_silent_for_long(silent_s: float, lost: int) -> None:
    made = study()
    trial = made.ask(SPACE)
    trial.set_user_attr(owner.OWNER, ["elsewhere", os.getpid()])
    trial.set_user_attr(owner.BEAT, time.time() - silent_s)
    assert owner.take_up(made) == lost
