"""Two models on the same samples: how much better one of them is, and whether chance explains it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Paired:
    """How often just one of two models is right. Where both are, or neither is, tells nothing of the difference."""

    samples: int
    only_first: int
    only_second: int

    @property
    def lead(self) -> float:
        """By how much of all samples the first one is better; negative where it is worse."""
        return (self.only_first - self.only_second) / self.samples

    @property
    def p_value(self) -> float:
        """Two-sided, of both being wrong equally often: McNemar's test (Dietterich 1998), exact by the binomial distribution."""
        apart = self.only_first + self.only_second
        ways = term = 1
        for k in range(1, min(self.only_first, self.only_second) + 1):
            term = term * (apart - k + 1) // k
            ways += term
        return min(1.0, 2 * ways / 2**apart)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the lead, 95 %: Wald's with one sample more on either side (Bonett and Price 2012, doi:10.1002/sim.5353)."""
        count = self.samples + 2
        first, second = (self.only_first + 1) / count, (self.only_second + 1) / count
        half = Z95 * math.sqrt((first + second - (first - second) ** 2) / count)
        return first - second - half, first - second + half


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """From whether each model is right, `[N]` each, of the same samples."""
    return Paired(len(first), int((first & ~second).sum()), int((second & ~first).sum()))


def wilson(right: int, samples: int) -> tuple[float, float]:
    """The 95 % interval of a fraction, one sample at least (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    part, z2 = right / samples, Z95**2 / samples
    middle = (part + z2 / 2) / (1 + z2)
    half = math.sqrt(z2) * math.sqrt(part * (1 - part) + z2 / 4) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)
