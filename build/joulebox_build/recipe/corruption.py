"""What may happen to an input on its way to the model."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le

from joulebox_build.recipe.section import Section


class Corruption(Section):
    """One thing that happens to all of the test data, from hardly visible (1) to hard for people, too (5)."""

    kind: Literal["noise", "blur", "contrast", "brightness", "shift", "typos", "dropped-words", "case"]
    """The first five are for images, the last three for texts; other tensors take `noise` alone."""
    severity: Annotated[int, Ge(1), Le(5)] = 2
    """How much of it."""
