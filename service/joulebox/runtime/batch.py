"""A batch: the requests in it, and what becomes of each. One that fails is computed again one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine import EngineError, Tensors

Outputs = dict[str, NDArray[Any]]
Results = list[Outputs | Exception]
"""Of each request of a batch: its outputs, or why there are none."""
Computed = tuple[Results, float, float]
"""With when this began and when it ended, on the clock of `time.perf_counter`."""


@dataclass(slots=True)
class Inference:
    """Outputs by tensor name, and where the time went."""

    outputs: Outputs
    queue_s: float
    compute_s: float
    items: int
    batch_items: int
    """Of the batch that it was computed in."""


@dataclass(eq=False, slots=True)
class Waiting:
    """A request in the queue. Whoever cancels `done` drops it."""

    inputs: Tensors
    items: int
    arrived_s: float
    deadline_s: float
    """On the clock of `time.perf_counter`, as `arrived_s`."""
    done: asyncio.Future[Inference]
    expiry: asyncio.TimerHandle


def compute(run: Callable[[Tensors], Outputs], batch: list[Waiting]) -> Computed:
    """Each request's outputs, or why there are none."""
    started_s = time.perf_counter()
    results = [_alone(run, batch[0])] if len(batch) == 1 else _joined(run, batch)
    return results, started_s, time.perf_counter()


def _joined(run: Callable[[Tensors], Outputs], batch: list[Waiting]) -> Results:
    sizes = [waiting.items for waiting in batch]
    try:
        outputs = run({name: np.concatenate([waiting.inputs[name] for waiting in batch]) for name in batch[0].inputs})
        if any(array.shape[:1] != (sum(sizes),) for array in outputs.values()):
            raise EngineError("the outputs are not one for each item")
    except Exception:  # whatever it is, one of them may be to blame
        return [_alone(run, waiting) for waiting in batch]
    ends = np.cumsum(sizes).tolist()
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def _alone(run: Callable[[Tensors], Outputs], waiting: Waiting) -> Outputs | Exception:
    if waiting.done.done():  # its client went, or its deadline passed, while the batch was tried
        return EngineError("nobody waits for it")
    try:
        return run(waiting.inputs)
    except Exception as error:  # handed to whoever waits for it
        return error
