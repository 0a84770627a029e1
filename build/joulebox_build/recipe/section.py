"""What parts of a recipe have in common."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Gt(0)]
PositiveFloat = Annotated[float, Gt(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class Section(BaseModel):
    """A part of a recipe: immutable, no key that it does not know, and no number that is not finite.

    What stands below a field is what docs/recipe.md says of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Golden(Section):
    """Samples kept in the package with their reference outputs; a variant has to reproduce them before it is served."""

    samples: Annotated[int, Ge(2), Le(256)] = 16
    """How many, drawn by the recipe's seed; one says nothing of whether a variant looks at its input."""
