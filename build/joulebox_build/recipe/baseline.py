"""Simpler methods that the student has to beat."""

from __future__ import annotations

from typing import Literal

from joulebox_build.recipe.section import Positive, Section


class Baseline(Section):
    """One of them. Logistic regression and gradient boosting are for numbers, TF-IDF with logistic regression is for texts."""

    kind: Literal["logistic-regression", "gradient-boosting", "tf-idf"]
    """The method."""
    samples: Positive | None = None
    """Fit on the first so many training samples; all where absent."""
    iterations: Positive = 100
    """Of the solver at most, or trees for each class."""
