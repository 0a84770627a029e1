"""Simpler methods that the student has to beat, and which of them suit the data."""

from __future__ import annotations

from collections.abc import Sequence

from joulebox_build.data.dataset import Inputs
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Baseline


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
