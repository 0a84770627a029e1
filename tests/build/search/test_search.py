"""`joulebox search` on the tiny recipe: real studies, alone, resumed, and of several processes one of which is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from joulebox_build.commands.search import search
from joulebox_build.errors import BuildError, RecipeError
from joulebox_build.job import open_job
from joulebox_build.recipe import load_recipe
from joulebox_build.search.budget import Budget
from joulebox_build.search.loop import Hunt, hunt, without_studies
from joulebox_build.search.study import open_study
from joulebox_build.stage import Stages

SPACE = {
    "distill.temperature": {"low": 1.0, "high": 8.0, "log": True},
    "student.width": {"low": 4, "high": 12, "step": 4},
}


@pytest.fixture
def searched(folder: Path, write_recipe: Any) -> Any:
    """Writes the tiny recipe with a search, and a student whose width can be chosen."""
    model = folder / "model.py"
    text = model.read_text("utf-8").replace(
        "def student():\n    return net(8)", "def student(width=8):\n    return net(width)"
    )
    model.write_text(text, "utf-8")

    def write(seed: int = 3, **changed: Any) -> Path:
        def edit(recipe: dict[str, Any]) -> None:
            recipe["profiles"]["quick"]["distill"].update(epochs=2, views=1, samples=300)
            recipe["seed"] = seed
            recipe["search"] = {"space": SPACE, "trials": 2, **changed}

        return write_recipe(folder, edit)

    return write


def as_json(recipe: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    capsys.readouterr()
    search(recipe, "quick", **{"as_json": True, **options})
    return json.loads(capsys.readouterr().out)


def test_trials_are_made_judged_on_validation_drawn_and_the_smallest_written(
    searched: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    for name, value in (("SYSFS", str(tmp_path)), ("CPU_WATTS", "5"), ("ENERGY_OFF", "nvml,pi")):
        monkeypatch.setenv(f"JOULEBOX_{name}", value)
    recipe = searched()
    stages: list[tuple[str, str]] = []
    run = __import__("joulebox_build.stage").stage.Stages.run
    monkeypatch.setattr(
        "joulebox_build.stage.Stages.run",
        lambda self, stage, *rest, of="": (stages.append((stage, of)), run(self, stage, *rest, of=of))[1],
    )
    made = as_json(recipe, capsys, plot=tmp_path / "front.svg", write=recipe.parent / "best.yaml")
    assert [trial["state"] for trial in made["trials"]] == ["complete", "complete"]
    for trial in made["trials"]:
        assert trial["values"].keys() == SPACE.keys()
        assert trial["latency"] is None
        assert trial["bytes"] > 1000
    assert made["optuna"] == optuna.__version__
    for kept in cache.glob("distill-*/stage.json"):  # a build that finds it there says what it took
        assert json.loads(kept.read_text("utf-8"))["spent"]["joules"] > 0
    assert made["front"]
    assert "<svg" in (tmp_path / "front.svg").read_text("utf-8")
    assert made["smallest"] in made["front"]
    assert f"Optuna {optuna.__version__}: trial {made['smallest']}." in (recipe.parent / "best.yaml").read_text("utf-8")
    best = load_recipe(recipe.parent / "best.yaml")
    assert best.search is None
    values = made["trials"][made["smallest"]]["values"]
    assert best.profile("quick").student == {"width": values["student.width"]}
    assert best.profile("quick").distill.temperature == values["distill.temperature"]
    assert not [stage for stage in stages if stage[0] == "duplicates" or stage[1].endswith("test")]
    again = as_json(recipe, capsys)
    assert again["trials"] == made["trials"]
    assert again["ended"] == "the study has 2 trials"
    search(recipe, "quick")
    assert f"trial {made['smallest']}" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"space": {"distill.depth": {"low": 1, "high": 2}}}, {}, "search.space: distill.depth"),
        ({"objectives": ["accuracy"]}, {"plot": Path("x.png")}, "--plot: search.objectives names only accuracy"),
        ({}, {"plot": Path("x.pdf")}, r"--plot x.pdf: expected a name that ends in .png or .svg"),
        ({}, {"write": Path("/elsewhere/x.yaml")}, "--write /elsewhere/x.yaml: expected a file in"),
        ({}, {"storage": "sqlite:////nowhere/at/all.db"}, "--storage sqlite:////nowhere/at/all.db cannot be opened"),
    ],
)
def test_what_cannot_work_is_said_at_once(searched: Any, changed: Any, options: Any, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        search(searched(**changed), "quick", **options)


def test_a_recipe_without_a_search_is_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match="search: missing"):
        search(folder / "recipe.yaml")


def test_joules_that_nobody_says_cannot_be_an_objective(
    searched: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOULEBOX_SYSFS", str(tmp_path))
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    with pytest.raises(RecipeError, match=r"search\.objectives: joules: nothing on this host says them"):
        search(searched(objectives=["accuracy", "joules"]), "quick")


class UntilTaught(Budget):
    """Used up as soon as the teacher has answered."""

    def __init__(self, stages: Stages) -> None:
        super().__init__(None, None)
        self._stages = stages

    def spent(self) -> str | None:
        return "used up" if any(made.stage == "teach" for made in self._stages.log) else None


def test_a_budget_that_runs_out_ends_a_trial_before_its_next_stage(searched: Any, tmp_path: Path) -> None:
    recipe, stages = load_recipe(searched()), Stages()
    job, wanted = without_studies(open_job(recipe, "quick", stages)), recipe.search
    assert wanted is not None
    study = open_study(job, wanted, str(tmp_path / "study"), print)
    ended = hunt(Hunt(job, wanted, study, UntilTaught(stages), 2, print))
    assert ended == "used up; trial 0 goes on where it is next time"
    assert {made.stage for made in stages.log} == {"teacher", "teach"}
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_a_storage_keeps_a_host_to_its_own_latencies_and_says_so(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*objectives: str) -> tuple[str, list[str]]:
        recipe, said = load_recipe(searched(objectives=list(objectives))), list[str]()
        job = open_job(recipe, "quick", Stages())
        assert recipe.search is not None
        return open_study(job, recipe.search, str(tmp_path / "study"), said.append).study_name, said

    here, shared = opened("accuracy", "latency"), opened("accuracy", "bytes")
    assert opened("accuracy", "latency") == here == (here[0], [])
    monkeypatch.setenv("JOULEBOX_PROCFS", str(tmp_path))  # another host
    there, said = opened("accuracy", "latency")
    assert there != here[0]
    assert here[0] in said[0]
    assert opened("accuracy", "bytes") == shared == (shared[0], [])


def test_a_trial_may_ask_for_more_teachers_than_the_profile_has(searched: Any, tmp_path: Path) -> None:
    space = {"distill.members": {"choices": [2]}}
    path = searched(space=space)
    content = yaml.safe_load(path.read_text("utf-8"))
    shutil.copy(path.parent / "teacher.safetensors", path.parent / "second.safetensors")
    content["teacher"]["members"].append({"weights": "second.safetensors", "seed": 4})
    content["profiles"]["quick"]["distill"]["members"] = 1
    path.write_text(yaml.safe_dump(content), "utf-8")
    study = hunted(path, tmp_path, trials=1)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]


def hunted(path: Path, tmp_path: Path, *, trials: int) -> optuna.Study:
    recipe = load_recipe(path)
    job, wanted = without_studies(open_job(recipe, "quick", Stages())), recipe.search
    assert wanted is not None
    study = open_study(job, wanted, str(tmp_path / "study"), print)
    hunt(Hunt(job, wanted, study, Budget(None, None), trials, print))
    return study


def test_whatever_the_folders_code_makes_of_a_value_is_that_trials_error_alone(searched: Any, tmp_path: Path) -> None:
    path = searched(space={"student.width": {"choices": [4, 12]}}, seed=1)
    model = path.parent / "model.py"
    text = model.read_text("utf-8").replace(
        "def student(width=8):\n    return net(width)",
        """class Broken(nn.Sequential):
    def forward(self, x):
        if self.training:
            raise RuntimeError("no twelve")
        return super().forward(x)

def student(width=8):
    return Broken(net(width)) if width == 12 else net(width)
""",
    )
    model.write_text(text, "utf-8")
    study = hunted(path, tmp_path, trials=4)
    states = {trial.params["student.width"]: trial for trial in study.trials}
    assert states[4].state == TrialState.COMPLETE
    assert states[12].state == TrialState.FAIL
    assert states[12].user_attrs["error"] == "RuntimeError: no twelve"
    assert len(study.trials) == 4  # none is tried again


def test_a_process_that_asked_a_moment_late_asks_again(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both draw from the seed of the same number: they would try the same values."""
    raced: list[int] = []

    def late(study: optuna.Study, space: Any) -> Any:
        if not raced:
            same = deepcopy(study.sampler)
            raced.append(ask(study, space).number)  # the other process is quicker
            study.sampler = same
        return ask(study, space)

    ask = optuna.Study.ask
    monkeypatch.setattr(optuna.Study, "ask", late)
    study = hunted(searched(), tmp_path, trials=3)
    done = [trial.params for trial in study.trials if trial.state == TrialState.COMPLETE]
    states = [trial.state for trial in study.trials]
    assert raced == [0]
    assert states == [TrialState.RUNNING, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert study.trials[0].params == study.trials[1].params
    assert study.trials[0].params not in done


def test_what_is_written_changes_no_profile_that_shares_a_section(searched: Any) -> None:
    path = searched(trials=1)
    content = yaml.safe_load(path.read_text("utf-8"))
    content["profiles"]["other"] = content["profiles"]["quick"]
    content["profiles"]["third"] = {**content["profiles"]["quick"], "gate": {}}
    path.write_text(yaml.safe_dump(content), "utf-8")
    assert "*id" in path.read_text("utf-8")
    before = load_recipe(path)
    search(path, "quick", write=path.parent / "best.yaml")
    after = load_recipe(path.parent / "best.yaml")
    assert after.profile("quick") != before.profile("quick")
    for name in ("other", "third"):
        assert after.profile(name) == before.profile(name)
    with pytest.raises(BuildError, match="is the recipe that is searched"):
        search(path, "quick", write=path)


@pytest.mark.slow
def test_a_time_budget_that_runs_out_in_a_trial_leaves_it_for_the_next_time(
    searched: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = searched()
    first = as_json(recipe, capsys, time_budget=0.01)
    assert "the time budget is used up" in first["ended"]
    assert all(trial["state"] != "complete" for trial in first["trials"])
    assert [trial["state"] for trial in as_json(recipe, capsys)["trials"]].count("complete") == 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials(
    searched: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = searched(trials=4)
    first = as_json(recipe, capsys, storage=str(tmp_path / "first"))
    monkeypatch.setenv("JOULEBOX_CACHE", str(tmp_path / "empty"))
    second = as_json(recipe, capsys, storage=str(tmp_path / "second"))
    assert first == second


@pytest.mark.slow
def test_latency_is_measured_and_a_trial_that_cannot_be_made_fails_alone(
    searched: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"prune.macs": {"choices": [0.9, 0.0001]}, "prune.epochs": {"choices": [1]}}
    made = as_json(searched(seed=1, space=space, objectives=["accuracy", "latency"], trials=3), capsys)
    states = {trial["values"]["prune.macs"]: trial["state"] for trial in made["trials"]}
    assert states == {0.9: "complete", 0.0001: "fail"}
    for trial in made["trials"]:
        if trial["state"] == "fail":
            assert "cannot be met" in trial["error"]
        else:
            assert trial["latency"] > 0


COMMAND = """
import sys
from pathlib import Path
from joulebox_build.commands.search import search
search(Path(sys.argv[1]), "quick", as_json=True)
"""


@pytest.mark.slow
def test_two_processes_share_a_study_and_a_killed_ones_trial_is_tried_again(
    searched: Any, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    recipe = searched(trials=5)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COMMAND, str(recipe)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(command, env=environment, **quiet) for _ in range(2)]
    try:
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(_there(cache / "studies.journal")))
        )
        victim = _running(storage, {process.pid for process in processes})
        os.kill(victim, signal.SIGKILL)
        assert [process.wait(600) for process in processes if process.pid != victim] == [0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    made = as_json(recipe, capsys)
    states = [trial["state"] for trial in made["trials"]]
    assert states.count("complete") == 5
    assert states.count("fail") == 1
    assert set(states) == {"complete", "fail"}
    (lost,) = (trial for trial in made["trials"] if trial["state"] == "fail")
    assert lost["values"] in [trial["values"] for trial in made["trials"] if trial["state"] == "complete"]


def _there(path: Path) -> Path:
    for _ in range(600):
        if path.is_file() and path.stat().st_size > 0:
            return path
        time.sleep(0.1)
    raise TimeoutError(path)


def _running(storage: optuna.storages.BaseStorage, processes: set[int]) -> int:
    """A process in the middle of a trial, while the other one has one, too."""
    for _ in range(600):
        for study in storage.get_all_studies():
            trials = storage.get_all_trials(study._study_id, states=(TrialState.RUNNING,))
            owners = {trial.user_attrs["owner"][1] for trial in trials if "owner" in trial.user_attrs}
            if owners == processes:
                return min(processes)
        time.sleep(0.1)
    raise TimeoutError
