"""What it took to make the model, and the evidence on it: the stages, their time and energy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from joulebox.energy import weakest
from joulebox_build.stage import Ran

NOTE = (
    "Training is what led to the shipped files, also what was tried for int8 and not kept; evidence is the rest: studies, parts of "
    "the data, baselines, judging. Energy is of the whole machine, or where it is estimated, of this process, with what rest takes "
    "where that is known; it is unknown where nothing says joules. A stage that was cut off has its earlier attempts in its figures, "
    "but for the last seconds before a kill."
)


def making(log: Sequence[Ran], shipped_by: Collection[str]) -> dict[str, Any]:
    """As JSON: each stage once, in the order of the build, and two sums: of those that made what is shipped, and of the rest.

    A stage that is in the cache shows what it took when it was made. The training of a given teacher is not in it.

    Args:
        shipped_by: the keys of the stages that made what is shipped.
    """
    stages: dict[str, dict[str, Any]] = {}
    for made in log:
        stages.setdefault(made.key, _stage(made))
    training = [stage for key, stage in stages.items() if key in shipped_by]
    evidence = [stage for key, stage in stages.items() if key not in shipped_by]
    return {
        "stages": list(stages.values()),
        **_whole("training", training),
        **_whole("evidence", evidence),
        "note": NOTE,
    }


def _whole(name: str, stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    joules = _sum([stage["joules"] for stage in stages])
    known = [] if joules is None else [stage["source"] for stage in stages]
    return {
        f"{name}_stages": sorted({stage["stage"] for stage in stages}),
        f"{name}_seconds": _sum([stage["seconds"] for stage in stages]),
        f"{name}_joules": joules,
        f"{name}_source": weakest(known),
    }


def _stage(made: Ran) -> dict[str, Any]:
    return {"stage": made.stage, "of": made.of, "key": made.key, **made.spent.as_json()}


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
