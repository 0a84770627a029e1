"""The ledger: shares a device's energy out to the models that were busy. Pure: no clock, no files.

One ledger a device. For each interval between two readings, what the device used is

- *unattributed*, where no model was busy, else
- shared out by busy time, idle power included as long as it is not known; where the reader knows by construction what
  a busy model uses, as an estimate does, a model gets no more than that and the rest is unattributed.

The sum over models and unattributed is always what the device used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]
"""Model name and version."""


@dataclass(frozen=True)
class Work:
    """What a model has done since it was loaded."""

    busy_s: float
    items: int


@dataclass
class Account:
    """What a model has used on one device, as far as it is settled."""

    joules: float = 0.0
    busy_s: float = 0.0
    items: int = 0

    @property
    def joules_per_item(self) -> float | None:
        return self.joules / self.items if self.items else None

    @property
    def watts(self) -> float | None:
        """Mean power while the model was busy."""
        return self.joules / self.busy_s if self.busy_s else None


@dataclass(frozen=True)
class Settlement:
    """A model's part of one interval."""

    joules: float
    items: int


@dataclass
class Ledger:
    """One device's account book."""

    busy_watts: float | None = None
    """See `Device.busy_watts`."""
    total_joules: float = 0.0
    unattributed_joules: float = 0.0
    watts: float | None = None
    """Mean power over the last interval; None where it is not known."""
    accounts: dict[Key, Account] = field(default_factory=dict[Key, Account])
    _seen: dict[Key, Work] = field(default_factory=dict[Key, Work])

    def settle(self, delta_joules: float, delta_s: float, work: Mapping[Key, Work]) -> dict[Key, Settlement]:
        """Books one interval.

        Args:
            delta_joules: what the device used in it.
            delta_s: its length.
            work: each loaded model's busy time and items so far; a model that is missing was unloaded.
        """
        busy = {key: done.busy_s - self._last(key).busy_s for key, done in work.items()}
        items = {key: done.items - self._last(key).items for key, done in work.items()}
        self._seen = dict(work)
        self.accounts = {key: self.accounts.get(key, Account()) for key in work}
        self.total_joules += delta_joules
        self.watts = delta_joules / delta_s if delta_s > 0 else None
        shares = self._shares(delta_joules, busy)
        self.unattributed_joules += delta_joules - sum(shares.values())
        settled = {key: Settlement(joules, items[key]) for key, joules in shares.items()}
        for key, part in settled.items():
            account = self.accounts[key]
            account.joules += part.joules
            account.busy_s += busy[key]
            account.items += part.items
        return settled

    def _shares(self, joules: float, busy: Mapping[Key, float]) -> dict[Key, float]:
        total_busy = sum(busy.values())
        most = float("inf") if self.busy_watts is None else self.busy_watts
        return {key: min(joules * part / total_busy, most * part) for key, part in busy.items() if part > 0}

    def skip(self, work: Mapping[Key, Work]) -> None:
        """Leaves out an interval whose energy is unknown: what was done in it is not booked."""
        self._seen = dict(work)

    def busy_watts_of(self, key: Key) -> float | None:
        """What a model uses while it is busy, by the figures settled so far; None where there are none yet."""
        account = self.accounts.get(key)
        return (account.watts if account else None) or self.busy_watts

    def _last(self, key: Key) -> Work:
        return self._seen.get(key, Work(0.0, 0))
