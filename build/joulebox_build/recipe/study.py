"""What a build finds out beside the model: whether the teacher helps, and whether all of the data are needed."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import Field

from joulebox_build.recipe.section import Positive, Section


class GainStudy(Section):
    """The student trained with its teacher and without one, by the profile's settings but for the epochs."""

    seeds: Annotated[int, Ge(2), Le(20)] = 5
    """How many pairs, each with initial weights and an order of its own."""
    epochs: Positive
    """Of each student."""


class DataEfficiency(Section):
    """The student trained on parts of the labelled data, without the teacher, which has seen all of them."""

    fractions: Annotated[tuple[Annotated[float, Gt(0), Le(1)], ...], Field(min_length=1, max_length=10)] = (
        0.05,
        0.1,
        0.25,
        0.5,
        1.0,
    )
    """Parts of the data, each within the next larger one."""
    epochs: Positive
    """Over all of the data; over a part of them more, so that each student takes as many steps."""
