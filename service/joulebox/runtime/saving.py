"""Whether a model's batches wait longer, to be fuller and so to cost less energy: only after a trial that has shown it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from joulebox.runtime.spending import Uses
from joulebox.runtime.trial import Finding, Trial

Phase = Literal["off", "trying", "on", "not_helping"]
"""On: the longer delay has helped. Not helping: it has not, or too little was computed to tell."""

STANDS_S = 3600.0  # so long; then the usual delay is taken again, until the budget is exceeded without it


@dataclass
class Saving:
    """Of one version of a model."""

    longer_s: float
    """What a batch may wait at most."""
    phase: Phase = "off"
    finding: Finding | None = None
    """Of the last trial; None where there was none, or nothing could be told."""
    _trial: Trial | None = None
    _until_s: float = 0.0

    @property
    def delay_s(self) -> float:
        """What a batch is to wait now; 0 is the usual."""
        waits = self.phase == "on" or (self._trial is not None and self._trial.longer)
        return self.longer_s if waits else 0.0

    def feed(self, now_s: float, uses: Uses, *, over: bool) -> bool:
        """Goes on; says whether the phase has changed.

        Args:
            uses: what the model has used so far, of devices that measure.
            over: whether it is over its budget.
        """
        before = self.phase
        if self._trial is not None:
            self._try(self._trial, now_s, uses)
        elif self.phase == "off":
            if over and uses:
                self.phase, self._trial = "trying", Trial(now_s)
        elif now_s >= self._until_s:
            self.phase, self.finding = "off", None
        return self.phase != before

    def _try(self, trial: Trial, now_s: float, uses: Uses) -> None:
        trial.feed(now_s, uses)
        if trial.finding is None and not trial.stalled(now_s):
            return
        self.finding, self._trial, self._until_s = trial.finding, None, now_s + STANDS_S
        self.phase = "on" if self.finding is not None and self.finding.helps else "not_helping"
