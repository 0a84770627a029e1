"""What a model may use: `fashion=2mJ` (joules per inference), `fashion=3W/5m` (watts, averaged over a window)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

EVERY = "*"
"""In place of a name: each model that has no budget of its own."""

Unit = Literal["J", "W"]
"""Joules per inference; watts. Both of dynamic energy, which the model itself causes."""

WINDOW_S, WINDOW_MIN_S, WINDOW_MAX_S = 60.0, 1.0, 86_400.0
BUDGETS_MAX = 256
SCALES = {"": 1.0, "m": 1e3, "u": 1e6}
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
EXPECTED = (
    "NAME=2mJ (joules per inference) or NAME=3W, over 60 s or as in NAME=3W/5m; units uJ, mJ, J, uW, mW, W; s, m, h"
)

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_FORM = re.compile(
    rf"(?P<model>[^=]+)=(?P<limit>{_NUMBER})(?P<scale>[mu]?)(?P<unit>[JW])(?:/(?P<window>{_NUMBER})(?P<per>[smh]))?"
)


@dataclass(frozen=True)
class Budget:
    """One limit of one model."""

    model: str
    limit: float
    unit: Unit
    window_s: float = WINDOW_S

    def __str__(self) -> str:
        return f"{figure(self.limit, self.unit)} over {self.window_s:g} s"


def figure(value: float, unit: Unit) -> str:
    """A value for people: `1.9 mJ per inference`, `3.2 W`."""
    scale = next((each for each, factor in SCALES.items() if abs(value) * factor >= 1), "u")
    return f"{value * SCALES[scale]:.3g} {scale}{unit}{' per inference' if unit == 'J' else ''}"


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """The budgets of a setting, which are separated by commas.

    Raises:
        ValueError: one is malformed, out of range or there twice; it says which, and what was expected.
    """
    budgets = [_parse(part.strip()) for part in text.split(",") if part.strip()]
    if len(budgets) > BUDGETS_MAX:
        raise ValueError(f"{len(budgets)} budgets; expected at most {BUDGETS_MAX}")
    for number, budget in enumerate(budgets):
        if any((other.model, other.unit) == (budget.model, budget.unit) for other in budgets[:number]):
            raise ValueError(f"{budget.model!r:.80} has two budgets in {budget.unit}; expected one")
    return tuple(budgets)


def budgets_of(model: str, budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    """Those of this model: its own, else those of every model."""
    own = tuple(budget for budget in budgets if budget.model == model)
    return own or tuple(budget for budget in budgets if budget.model == EVERY)


def _parse(text: str) -> Budget:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.80} is no energy budget; expected {EXPECTED}")
    limit = float(found["limit"]) / SCALES[found["scale"]]
    window_s = float(found["window"]) * SECONDS[found["per"]] if found["window"] else WINDOW_S
    if not (0 < limit < math.inf):
        raise ValueError(f"{text!r:.80}: expected a limit above 0")
    if not WINDOW_MIN_S <= window_s <= WINDOW_MAX_S:
        raise ValueError(f"{text!r:.80}: expected a window of {WINDOW_MIN_S:g} s to {WINDOW_MAX_S / 3600:g} h")
    return Budget(found["model"].strip(), limit, "J" if found["unit"] == "J" else "W", window_s)
