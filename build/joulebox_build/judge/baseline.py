"""Simpler methods that the student has to beat, and which of them suit the data."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from joulebox_build.data.dataset import Inputs
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Baseline

MIB = 2**20


def suitable(baselines: Sequence[Baseline] | None, inputs: Inputs, given: ModelInput) -> Sequence[Baseline]:
    """The recipe's baselines, else the one that is usual for such data.

    Raises:
        RecipeError: one cannot be fit on them.
    """
    texts, numbers = inputs.dtype == object, given.datatype == "FP32"
    if baselines is None:
        return [Baseline(kind="tf-idf" if texts else "logistic-regression")]
    for baseline in baselines:
        if (baseline.kind == "tf-idf") != texts:
            what, expected = ("texts", "tf-idf") if texts else ("numbers", "logistic-regression or gradient-boosting")
            raise RecipeError(f"baselines: {baseline.kind!r} is not for {what}; expected {expected}")
        if not texts and not numbers:
            raise RecipeError(f"baselines: {baseline.kind!r} takes FP32; the student takes {given.datatype}")
    return baselines


def check_memory(baseline: Baseline, samples: int, given: ModelInput, memory_mib: int | None) -> None:
    """Dense samples are all encoded at once, and standardised in a copy.

    Args:
        memory_mib: what may be held; what the machine has where absent.

    Raises:
        RecipeError: that is more than there is.
    """
    if baseline.kind == "tf-idf":
        return
    held = 2 * 4 * min(samples, baseline.samples or samples) * math.prod(given.shape)
    limit = memory_mib * MIB if memory_mib else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if held > limit:
        raise RecipeError(
            f"baselines: {baseline.kind} would hold {math.ceil(held / MIB)} MiB of samples, at most {limit // MIB} MiB; "
            f"set its samples to {limit * samples // held // 2} or fewer"
        )
