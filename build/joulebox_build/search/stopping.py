"""When a trial is stopped, because it is no good.

Where accuracy alone is looked for, Optuna's median rule: below the median of the earlier trials at the same epoch. For
several objectives Optuna has no rule, since a small, less accurate model may be what is looked for; so ours is a weak one:
below every finished trial at the same epoch by a margin.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.pruners import MedianPruner
from optuna.study import Study
from optuna.trial import Trial

from joulebox_build.recipe import Search
from joulebox_build.search.study import finished

CURVE = "curve"
TRIALS_MIN = 4  # finished, before any is stopped


class Stopping:
    """Of one trial: told its validation accuracy epoch by epoch."""

    def __init__(self, study: Study, trial: Trial, search: Search) -> None:
        self._trial, self._search = trial, search
        self._alone = search.objectives == ("accuracy",)
        if self._alone:
            study.pruner = MedianPruner(n_startup_trials=TRIALS_MIN, n_warmup_steps=search.stop_after - 1)
        self._others: list[Sequence[float]] = [other.user_attrs.get(CURVE, ()) for other in finished(study)]
        self._curve: list[float] = []

    def epoch(self, accuracy: float) -> None:
        """
        Raises:
            TrialPruned: it is too far behind.
        """
        self._curve.append(accuracy)
        self._trial.set_user_attr(CURVE, self._curve)
        if self._alone:
            self._trial.report(accuracy, len(self._curve) - 1)
            behind = self._trial.should_prune()
        else:
            behind = is_behind(self._curve, self._others, self._search)
        if behind:
            raise optuna.TrialPruned(f"{accuracy:.2%} after {len(self._curve)} epochs of training")


def is_behind(curve: Sequence[float], others: Sequence[Sequence[float]], search: Search) -> bool:
    """Whether the last epoch lies below that of every other trial by more than the margin."""
    epochs = len(curve)
    then = [other[epochs - 1] for other in others if len(other) >= epochs]
    return epochs >= search.stop_after and len(then) >= TRIALS_MIN and curve[-1] < min(then) - search.stop_margin
