"""What it took to make the model: the stages, their time and energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from joulebox.energy import weakest
from joulebox_build.job import IN_LINEAGE
from joulebox_build.stage import Artifact

JUDGING = ("baseline", "answer", "calibrate")  # in the lineage, but the model would be the same without them
NOTE = (
    "Energy is of the whole machine, or where it is estimated, of this process, with what rest takes where that is "
    "known; it is unknown where nothing says joules, or where a stage was cut off and went on later. What a stage needed that was not "
    "there yet is in its figures."
)


def making(log: Sequence[Artifact]) -> dict[str, Any]:
    """As JSON: each stage once, in the order of the build, and sums over those that made the model.

    A stage that is in the cache shows what it took when it was made. The training of a given teacher is not in it.
    """
    stages = list({(made.stage, made.key): _stage(made) for made in log if not made.nested}.values())
    training = [stage for stage in stages if stage["stage"] in IN_LINEAGE and stage["stage"] not in JUDGING]
    return {
        "stages": stages,
        "training_stages": sorted({stage["stage"] for stage in training}),
        "training_seconds": _sum([stage["seconds"] for stage in training]),
        "training_joules": _sum([stage["joules"] for stage in training]),
        "training_source": weakest(stage["source"] for stage in training if stage["source"]),
        "note": NOTE,
    }


def _stage(made: Artifact) -> dict[str, Any]:
    spent = made.spent
    return {
        "stage": made.stage,
        "of": made.of,
        "key": made.key,
        "seconds": spent and spent.seconds,
        "joules": spent and spent.joules,
        "source": spent and spent.source,
    }


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
