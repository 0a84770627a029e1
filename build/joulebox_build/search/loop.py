"""The search itself: trial after trial, until there are enough or the budget is used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from joulebox_build.errors import BuildError
from joulebox_build.job import Job, with_profile
from joulebox_build.recipe import Search
from joulebox_build.search import owner
from joulebox_build.search.budget import Budget
from joulebox_build.search.space import distributions, with_values
from joulebox_build.search.stopping import Stopping
from joulebox_build.search.study import ERROR, counted, finished, sampler
from joulebox_build.search.trial import run
from joulebox_build.train.fit import Epoch

FAILURES_MAX = 3  # without a trial that was finished: then something is wrong with all of them


class _Spent(BaseException):
    """The budget is used up in the middle of a trial, which is no error of the trial's."""


@dataclass(frozen=True)
class Hunt:
    """What a process searches, and how much of it; `say` is told of each trial that ended."""

    job: Job
    search: Search
    study: Study
    budget: Budget
    trials: int
    say: Callable[[str], None]


def without_studies(job: Job) -> Job:
    """What a build finds out beside the model would be found out anew in each trial."""
    return replace(job, profile=job.profile.model_copy(update={"study": None, "data_efficiency": None}))


def hunt(this: Hunt) -> str:
    """Runs trials; why it ended.

    Raises:
        Exception: what is wrong with every trial.
    """
    while True:
        lost = owner.take_up(this.study)
        if lost:
            this.say(f"{lost} trial{'s' * (lost > 1)} of processes that were killed: to be tried again")
        number, others = len(counted(this.study)), len(this.study.get_trials(deepcopy=False))
        if number >= this.trials:
            return f"the study has {number} trials"
        spent = this.budget.spent()
        if spent:
            return spent
        this.study.sampler = sampler(this.search, this.job.recipe.seed, number)
        trial = this.study.ask(distributions(this.search))
        if trial.number > others:  # another process asked meanwhile, and drew the same values from the same seed
            this.study.tell(trial, state=TrialState.FAIL)
            continue
        try:
            _run(this, trial)
        except _Spent as error:
            owner.give_back(this.study, trial)
            return str(error)
        except BaseException:  # Ctrl-C, or what is wrong with every trial
            owner.give_back(this.study, trial)
            raise


def _run(this: Hunt, trial: Trial) -> None:
    stopping = Stopping(this.study, trial, this.search)

    def go_on() -> None:
        _check_budget(this, trial)

    def on_epoch(epoch: Epoch) -> None:
        stopping.epoch(epoch.validation_accuracy)
        go_on()

    try:
        job = with_profile(this.job, with_values(this.job.profile, trial.params))
        job = replace(job, on_epoch=on_epoch, before_stage=go_on)
        with owner.claimed(trial):
            figures = run(job, this.search.objectives)
        values = [figures.value(objective) for objective in this.search.objectives]
    except optuna.TrialPruned as stopped:
        this.study.tell(trial, state=TrialState.PRUNED)
        this.say(f"trial {trial.number} stopped: {stopped}")
    except Exception as error:  # ours, or whatever the folder's code or a library makes of these values
        _fail(this, trial, error)
        if not finished(this.study) and sum(map(_failed, counted(this.study))) >= FAILURES_MAX:
            raise
    else:
        for name, value in asdict(figures).items():
            trial.set_user_attr(name, value)
        this.study.tell(trial, values)
        this.say(
            f"trial {trial.number}: {described(trial.params)}: accuracy {figures.accuracy:.2%}, {figures.bytes:,} bytes"
        )


def _fail(this: Hunt, trial: Trial, error: Exception) -> None:
    said = str(error) if isinstance(error, BuildError) else f"{type(error).__name__}: {error}"
    trial.set_user_attr(ERROR, said)
    this.study.tell(trial, state=TrialState.FAIL)
    this.say(f"trial {trial.number} failed: {said}")


def _check_budget(this: Hunt, trial: Trial) -> None:
    """
    Raises:
        _Spent: it is used up.
    """
    spent = this.budget.spent()
    if spent:
        raise _Spent(f"{spent}; trial {trial.number} goes on where it is next time")


def _failed(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL


def described(values: dict[str, object]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in sorted(values.items())
    )
