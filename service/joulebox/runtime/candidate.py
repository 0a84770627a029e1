"""A variant that reproduces the goldens here, ready to be run at any batch size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from joulebox.engine import Engine, EngineError, Rung, Tensors, open_engine
from joulebox.package import Package
from joulebox.runtime.golden import GoldenMismatch, read_golden, sample, verify, verify_joined

BATCHES_MAX = 8  # of different samples, taken in turn: what a run costs may depend on what is in it


@dataclass(frozen=True)
class Candidate:
    """It runs on golden samples."""

    package: Package
    rung: Rung
    engine: Engine
    inputs: Tensors
    expected: Tensors

    def runner(self, items: int) -> Callable[[], object]:
        """What computes the next batch of so many samples.

        Raises:
            EngineError: the engine failed on one, or the model takes none.
            GoldenMismatch: samples come out of a batch otherwise than alone.
        """
        batched = self.package.manifest.batched
        if items > 1 and not batched:
            raise EngineError("the model takes no batches")
        if items > 1:
            count = min(items, len(next(iter(self.inputs.values()))))
            verify_joined(self.engine, self.rung.variant, self.inputs, self.expected, count)
        batches = cycle([*self._batches(items, batched=batched)])
        return lambda: self.engine.run(next(batches))

    def _batches(self, items: int, *, batched: bool) -> Iterator[Tensors]:
        count = len(next(iter(self.inputs.values())))
        for number in range(min(BATCHES_MAX, math.ceil(count / items))):
            if batched:
                taken = (np.arange(items) + number * items) % count
                yield {name: array[taken] for name, array in self.inputs.items()}
            else:
                yield sample(self.inputs, number, batched=False)


def open_candidates(package: Package, ladder: Iterable[Rung]) -> Iterator[Candidate | tuple[Rung, str]]:
    """What of it works on this host, in its order; of what does not, why.

    Raises:
        PackageError: a file is not what the manifest says.
    """
    inputs, expected = read_golden(package)
    for rung in ladder:
        try:
            engine = open_engine(package, rung)
            verify(engine, rung.variant, inputs, expected, batched=package.manifest.batched)
        except (EngineError, GoldenMismatch) as error:
            yield rung, str(error)
        else:
            yield Candidate(package, rung, engine, inputs, expected)
