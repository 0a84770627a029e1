"""Whose metric files are whose. Worker processes meet in files below `PROMETHEUS_MULTIPROC_DIR`, and any of them adds up all.

The library names the files by process id, so that each restart would leave more of them to read for ever. Here they bear
the worker's number: a new worker goes on counting where the last one of its number was killed.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead  # pyright: ignore[reportUnknownVariableType]  # untyped


def identify(worker_id: int) -> None:
    """Names this process's metric files; to be called before the first metric is made, BentoML's included."""
    values.ValueClass = values.MultiProcessValue(lambda: worker_id)  # pyright: ignore[reportUnknownMemberType]  # untyped


def forget_gauges(folder: Path, worker_id: int) -> None:
    """Removes the gauges of a worker that is dead: what it had in flight, it has no more. Its totals stay."""
    mark_process_dead(worker_id, str(folder))
