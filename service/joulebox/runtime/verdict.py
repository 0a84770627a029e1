"""Whether a model keeps a budget. Pure: fed with its figure over the budget's window, and the time.

Over is said at once. What is over stays so until a whole window has passed without a figure above the limit: a figure that
hovers about the limit changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Verdict:
    """On one budget: a limit of the mean over a window."""

    limit: float
    window_s: float
    figure: float | None = None
    """Over the window that ends now, in the budget's unit; None where it is not known."""
    over: bool | None = None
    """None where it cannot be judged."""
    exceeded: int = 0
    """Windows that were over, none of which overlap."""
    _over_s: float = -math.inf
    _known_s: float = -math.inf
    _counted_s: float = -math.inf

    def feed(self, now_s: float, figure: float | None) -> bool:
        """Judges; says whether `over` has changed."""
        before, self.figure = self.over, figure
        if figure is not None:
            self._known_s = now_s
        over = figure is not None and figure > self.limit
        if over:
            self._over_s = now_s
            if now_s - self._counted_s >= self.window_s:
                self.exceeded += 1
                self._counted_s = now_s
        self.over = over or self._held(now_s)
        return self.over is not before

    def _held(self, now_s: float) -> bool | None:
        """Whether it counts as over although its figure is not, or is not known."""
        was, window_s = self.over is True, self.window_s
        if self.figure is None:
            return True if was and now_s - self._known_s < window_s else None
        return was and now_s - self._over_s < window_s
