"""A study: its trials lie in a storage that processes, also of several machines, share, and outlive them all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from joulebox.package.digest import canonical, sha256
from joulebox_build.errors import BuildError
from joulebox_build.job import Job
from joulebox_build.recipe import Search
from joulebox_build.search.trial import DIRECTIONS

POPULATION = 20  # of a generation of NSGA-II
MISSED, BYTES, ACCURACY, ERROR = "missed", "bytes", "accuracy", "error"


def open_study(job: Job, search: Search, storage: str) -> Study:
    """The study of this search, a new one where there is none. What changes results makes it another one.

    Args:
        storage: a file (Optuna's journal), or a URL as Optuna takes it.

    Raises:
        BuildError: the storage cannot be opened.
    """
    digests = {name: digest for name, digest in job.digests.items() if name not in {"recipe", "test"}}
    made_of = [
        job.profile.model_dump(mode="json"),
        search.model_dump(mode="json", exclude={"trials"}),
        digests,
        job.recipe.seed,
    ]
    name = f"{job.recipe.name}-{job.profile_name}-{sha256(canonical(made_of))[:12]}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=_storage(storage),
            study_name=name,
            directions=[DIRECTIONS[objective] for objective in search.objectives],
            load_if_exists=True,
        )
    except (OSError, OptunaError, SQLAlchemyError, ImportError, ValueError) as error:
        raise BuildError(f"--storage {storage} cannot be opened: {str(error).strip().partition(chr(10))[0]}") from error


def _storage(named: str) -> BaseStorage:
    if "://" in named:
        return RDBStorage(named)
    path = Path(named)
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def counted(study: Study) -> list[FrozenTrial]:
    """The trials that ran, run or came to an error; those that were given back run again, and count then."""
    begun = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=begun)
    return [trial for trial in trials if trial.state != TrialState.FAIL or ERROR in trial.user_attrs]


def finished(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def sampler(search: Search, seed: int, number: int) -> BaseSampler:
    """For the trial that follows `number` others: so a study that was interrupted goes on as one that was not."""
    seed = (seed * 1_000_003 + number) % 2**32
    if search.sampler == "nsga2":
        return NSGAIISampler(seed=seed, population_size=POPULATION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, constant_liar=True)  # others that run meanwhile are not tried twice


def front(study: Study) -> list[FrozenTrial]:
    """The finished trials that none is better than in every objective, by the first objective."""
    trials = study.best_trials if finished(study) else []
    return sorted(trials, key=lambda trial: (trial.values[0], trial.number))


def smallest_that_passes(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Of those that meet every limit of the gate on validation data; of equals the most accurate, then the first."""

    def size(trial: FrozenTrial) -> tuple[int, float, int]:
        return trial.user_attrs[BYTES], -trial.user_attrs[ACCURACY], trial.number

    return min((trial for trial in trials if not trial.user_attrs[MISSED]), key=size, default=None)
