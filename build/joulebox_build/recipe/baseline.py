"""Simpler methods that the student has to beat."""

from __future__ import annotations

from typing import Literal

from joulebox_build.recipe.section import Positive, Section


class Baseline(Section):
    """One of them. Logistic regression and gradient boosting are for numbers, TF-IDF with logistic regression is for texts."""

    kind: Literal["logistic-regression", "gradient-boosting", "tf-idf"]
    samples: Positive | None = None  # fit on the first so many; all where absent
    iterations: Positive = 100  # of the solver at most, or trees for each class
