"""The ledger: shares a device's energy out to the models that were busy. Pure: no clock, no files.

One ledger a device. For each interval between two readings, what the device used is

- *unattributed*, where no model was busy, else
- shared out by busy time, idle power included as long as it is not known.

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

    total_joules: float = 0.0
    unattributed_joules: float = 0.0
    watts: float | None = None
    """Mean power over the last interval."""
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
        total_busy = sum(busy.values())
        if total_busy <= 0:
            self.unattributed_joules += delta_joules
            return {}
        settled = {key: Settlement(delta_joules * busy[key] / total_busy, items[key]) for key in work if busy[key] > 0}
        for key, part in settled.items():
            account = self.accounts[key]
            account.joules += part.joules
            account.busy_s += busy[key]
            account.items += part.items
        return settled

    def provisional(self, key: Key, busy_s: float) -> float | None:
        """What so much busy time would cost by the figures settled so far; None before there are any."""
        account = self.accounts.get(key)
        watts = account.watts if account else None
        return None if watts is None else watts * busy_s

    def _last(self, key: Key) -> Work:
        return self._seen.get(key, Work(0.0, 0))
