"""A study: its trials lie in a storage that processes, also of several machines, share, and outlive them all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from joulebox.host import describe_host
from joulebox.package.digest import canonical, sha256
from joulebox_build.errors import BuildError
from joulebox_build.job import Job
from joulebox_build.judge.cost import energy_sources
from joulebox_build.recipe import Profile, Search
from joulebox_build.search.trial import DIRECTIONS
from joulebox_build.steps.cost import means_of

POPULATION = 20  # of a generation of NSGA-II
MISSED, BYTES, ACCURACY, ERROR = "missed", "bytes", "accuracy", "error"


OF_THE_HOST = frozenset(
    {"latency", "joules", "prune.latency", "gate.latency_p99_max_s", "gate.joules_per_inference_max"}
)
OF_ITS_METERS = frozenset({"joules", "gate.joules_per_inference_max"})


def open_study(job: Job, search: Search, storage: str, say: Callable[[str], None]) -> Study:
    """The study of this search, a new one where there is none. What changes results makes it another one.

    Where latency or joules decide something, that is the host, too, and by what it measures joules.

    Args:
        storage: a file (Optuna's journal), or a URL as Optuna takes it.
        say: is told that the storage has the same search of other hosts, whose trials this one does not share.

    Raises:
        BuildError: the storage cannot be opened.
    """
    digests = {name: digest for name, digest in job.digests.items() if name not in {"recipe", "test"}}
    made_of = [
        job.profile.model_dump(mode="json"),
        search.model_dump(mode="json", exclude={"trials"}),
        digests,
        job.recipe.seed,
        job.recipe.preprocess and job.recipe.preprocess.model_dump(mode="json"),
    ]
    anywhere = f"{job.recipe.name}-{job.profile_name}-{sha256(canonical(made_of))[:12]}"
    name = "-".join([anywhere, *bound_to(job.profile, search)])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        kept = _storage(storage)
        others = [each for each in optuna.get_all_study_names(kept) if each.startswith(anywhere) and each != name]
        study = optuna.create_study(
            storage=kept,
            study_name=name,
            directions=[DIRECTIONS[objective] for objective in search.objectives],
            load_if_exists=True,
        )
    except (OSError, OptunaError, SQLAlchemyError, ImportError, ValueError) as error:
        raise BuildError(f"--storage {storage} cannot be opened: {str(error).strip().partition(chr(10))[0]}") from error
    if others:
        say(
            f"latency or joules decide here, and they are each host's own: this is study {name}; --storage {storage} has the "
            f"same search of other hosts, or by other means of measuring, in {', '.join(others)}"
        )
    return study


def bound_to(profile: Profile, search: Search) -> list[str]:
    """The host, and a digest of what says joules on it, as far as trials differ by them."""
    content = profile.model_dump(exclude_none=True)
    given = {f"{section}.{key}" for section in ("gate", "prune") for key in content.get(section, {})}
    asked = {*search.objectives, *search.space, *given}
    host = [describe_host(os.environ).fingerprint] if asked & OF_THE_HOST else []
    return [*host, sha256(canonical(means_of(energy_sources())))[:6]] if asked & OF_ITS_METERS else host


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
