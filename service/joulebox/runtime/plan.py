"""How a model is best computed on this host: a curve over batch sizes, measured once the model is verified.

On a CPU a batch often gains nothing and sometimes loses, so no constant is right: the largest batch and how long one may
wait to become fuller follow from the curve.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

SIZES = (1, 2, 4, 8, 16, 32, 64)
RUNS = 20
SIZE_S = 0.06  # spent on one batch size at most, once RUNS_MIN runs are through
CURVE_S = 1.0  # for all sizes beyond 1; none is begun that would take longer
RUNS_MIN = 3
ENOUGH = 0.95  # of the best throughput: the smallest batch that has so much is large enough
GAIN_MIN = 0.1  # of an item's time; less is noise
GAIN_MIN_S = 20e-6  # what queueing a request costs, which batching has to save first
DELAY_MIN_S, DELAY_MAX_S = 1e-4, 5e-3


@dataclass(frozen=True)
class Plan:
    """How a model is computed here."""

    batch_max: int
    """Most items computed at once; 1 is no batching."""
    delay_s: float
    """How long a batch that is not full waits for more."""
    item_s: float
    """The time of one item alone."""
    item_elements: int
    """Elements of its inputs. Where dimensions are free, requests may have larger items."""
    curve: tuple[tuple[int, float], ...]
    """Batch size and the median time of a run, in seconds."""

    def seconds(self, items: int) -> float:
        """About how long a batch takes, by the nearest size that was measured."""
        size, run_s = min(self.curve, key=lambda point: abs(point[0] - items))
        return run_s * items / size


def measure(
    run: Callable[[int], object],
    *,
    batched: bool,
    item_elements: int,
    batch_max: int = 0,
    delay_ms: float | None = None,
) -> Plan:
    """Measures and plans.

    Args:
        run: computes a batch of so many items.
        batched: whether requests may be joined at all.
        item_elements: of the inputs of one item that `run` computes.
        batch_max: the largest batch as configured; 0 leaves it to the measurement.
        delay_ms: the delay as configured.
    """
    curve = [(1, _median_s(run, 1))]
    if batched:
        curve += _curve(run, batch_max or SIZES[-1], curve[0][1])
    item_s = curve[0][1]
    best_s = min(run_s / size for size, run_s in curve)
    pays = item_s - best_s >= max(GAIN_MIN * item_s, GAIN_MIN_S)
    chosen = next(size for size, run_s in curve if run_s / size <= best_s / ENOUGH) if pays else 1
    largest = (batch_max or chosen) if batched else 1
    if delay_ms is not None:
        delay_s = delay_ms / 1e3
    else:  # waiting may cost a request as much as a full batch saves it
        delay_s = min(item_s - best_s, DELAY_MAX_S) if pays and largest > 1 else 0.0
        delay_s = delay_s if delay_s >= DELAY_MIN_S else 0.0
    return Plan(largest, delay_s if largest > 1 else 0.0, item_s, item_elements, tuple(curve))


def _curve(run: Callable[[int], object], largest: int, item_s: float) -> list[tuple[int, float]]:
    """The sizes beyond 1, as long as larger ones gain and time is left."""
    begin_s, best_s, worse = time.perf_counter(), item_s, 0
    curve: list[tuple[int, float]] = []
    for size in [size for size in SIZES[1:] if size < largest] + ([largest] if largest > 1 else []):
        spent_s = time.perf_counter() - begin_s
        if worse >= 2 or spent_s + (RUNS_MIN + 1) * size * best_s > CURVE_S:
            break
        try:
            run_s = _median_s(run, size)
        except Exception:  # whatever the engine raises: it has not the memory, or the model takes no such batch
            break
        curve.append((size, run_s))
        worse = 0 if run_s / size < best_s * ENOUGH else worse + 1
        best_s = min(best_s, run_s / size)
    return curve


def _median_s(run: Callable[[int], object], items: int) -> float:
    """The median time of a run, in seconds; the first ones, which allocate, do not count."""
    run(items)
    begin_s, times = time.perf_counter(), list[float]()
    while len(times) < RUNS:
        started_s = time.perf_counter()
        run(items)
        ended_s = time.perf_counter()
        times.append(ended_s - started_s)
        if len(times) >= RUNS_MIN and ended_s - begin_s > SIZE_S:
            break
    return sorted(times)[len(times) // 2]
