"""Whose a running trial is, and whether it still runs: a killed process cannot say so itself."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from optuna.exceptions import OptunaError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

OWNER, BEAT = "owner", "beat"
BEAT_S = 60.0
SILENT_S = 3600.0  # a process on another machine that was not heard of for so long is taken for dead


@contextmanager
def claimed(trial: Trial) -> Generator[None]:
    """This process runs the trial meanwhile, and a thread says so every `BEAT_S`, whatever stage it is in."""
    trial.set_user_attr(OWNER, [platform.node(), os.getpid()])
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(trial, over), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(trial: Trial, over: threading.Event) -> None:
    while True:
        with suppress(OptunaError, SQLAlchemyError, OSError):  # one beat less; the trial itself meets what lasts
            trial.set_user_attr(BEAT, time.time())
        if over.wait(BEAT_S):
            return


def give_back(study: Study, trial: FrozenTrial | Trial) -> None:
    """Ends the trial as failed and puts its values on the list of what to try: training goes on from its checkpoint."""
    running = study.get_trials(deepcopy=False)[trial.number]
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, RuntimeError):  # it has ended, or another process was quicker
        return
    study.enqueue_trial(running.params)


def take_up(study: Study) -> int:
    """Gives back the trials whose processes are dead; how many."""
    lost = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if not _lives(trial)]
    for trial in lost:
        give_back(study, trial)
    return len(lost)


def _lives(trial: FrozenTrial) -> bool:
    started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    silent = time.time() - trial.user_attrs.get(BEAT, started) > SILENT_S
    owner: list[Any] | None = trial.user_attrs.get(OWNER)
    if silent or owner is None or owner[0] != platform.node():
        return not silent
    return owner[1] == os.getpid() or _runs(int(owner[1]))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
