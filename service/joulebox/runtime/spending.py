"""What each model has used so far, and within a sliding window. Pure: fed with the ledgers' accounts and the time.

Dynamic energy only: what a model itself causes. Idle energy is there without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from joulebox.energy import Account, Key
from joulebox.runtime.budget import Unit

STEPS = 60  # of a window: so finely it slides
ENOUGH_ITEMS = 20  # on each device
ENOUGH_PART = 0.5  # of the window


@dataclass(frozen=True)
class Use:
    """A model's use of one device, as far as it is settled."""

    joules: float = 0.0
    items: int = 0
    seconds: float = 0.0
    """Of which this is known."""
    settled: int = 0
    """How often more of it became known."""

    def __add__(self, other: Use) -> Use:
        return Use(
            self.joules + other.joules,
            self.items + other.items,
            self.seconds + other.seconds,
            self.settled + other.settled,
        )

    def __sub__(self, other: Use) -> Use:
        return Use(
            self.joules - other.joules,
            self.items - other.items,
            self.seconds - other.seconds,
            self.settled - other.settled,
        )


NOTHING = Use()
Uses = dict[str, Use]
"""By device, or by model."""


class Spending:
    """Totals by model name, which never fall while a model of that name is loaded."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, Key], Account] = {}
        self._uses: dict[str, Uses] = {}

    def feed(self, accounts: Mapping[str, Mapping[Key, Account]]) -> dict[str, Uses]:
        """Adds what has been settled since the last call; each loaded model has a use of every device.

        Args:
            accounts: of each device.
        """
        grown = {device: self._grown(device, models) for device, models in accounts.items()}
        self._seen = {
            (device, key): replace(account) for device, models in accounts.items() for key, account in models.items()
        }
        before = self._uses
        self._uses = {
            name: {
                device: before.get(name, {}).get(device, NOTHING) + each.get(name, NOTHING)
                for device, each in grown.items()
            }
            for name in {name for each in grown.values() for name in each}
        }
        return self._uses

    def _grown(self, device: str, models: Mapping[Key, Account]) -> Uses:
        """By model. While one version takes over from another, their time is the same time."""
        grown: Uses = {}
        for key, account in models.items():
            last = self._seen.get((device, key), Account())
            if account.known_s < last.known_s:  # unloaded meanwhile, and loaded anew
                last = Account()
            other, seconds = grown.get(key[0], NOTHING), account.known_s - last.known_s
            grown[key[0]] = Use(
                other.joules + account.joules - last.joules,
                other.items + account.items - last.items,
                max(other.seconds, seconds),
                max(other.settled, int(seconds > 0)),
            )
        return grown


@dataclass
class Window:
    """A model's use over the last seconds, a sixtieth of them more or less."""

    seconds: float
    _marks: deque[tuple[float, Uses]] = field(default_factory=deque[tuple[float, Uses]])

    def feed(self, now_s: float, uses: Uses) -> Uses:
        """Notes the totals so far, none where the model is not loaded; gives what was used within the window."""
        if not uses:
            self._marks.clear()
            return {}
        if not self._marks or now_s - self._marks[-1][0] >= self.seconds / STEPS:
            self._marks.append((now_s, uses))
        while len(self._marks) > 1 and self._marks[1][0] <= now_s - self.seconds:
            self._marks.popleft()
        first = self._marks[0][1]
        return {device: use - first.get(device, NOTHING) for device, use in uses.items()}


def rate(uses: Uses, unit: Unit, *, seconds: float) -> float | None:
    """Joules per inference or watts, all devices together; None where too little of one is known.

    Args:
        seconds: over which it is to be.
    """
    if not uses or any(use.seconds < ENOUGH_PART * seconds for use in uses.values()):
        return None
    if unit == "W":
        return sum(use.joules / use.seconds for use in uses.values())
    if any(use.items < ENOUGH_ITEMS for use in uses.values()):
        return None
    return sum(use.joules / use.items for use in uses.values())
