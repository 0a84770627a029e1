"""What a search tries, and what it looks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import Discriminator, Field, StrictBool, StrictFloat, StrictInt, Tag, model_validator

from joulebox_build.recipe.section import Fraction, Positive, Section

Number = StrictInt | StrictFloat
Value = StrictBool | StrictInt | StrictFloat | str
Objective = Literal["accuracy", "bytes", "latency", "joules"]


class Range(Section):
    """Numbers from `low` to `high`, both included; whole ones where both are whole."""

    low: Number
    """The least."""
    high: Number
    """The greatest."""
    step: Annotated[Number, Field(gt=0)] | None = None
    """Between values that are tried; any where absent."""
    log: bool = False
    """Even in the logarithm."""

    @model_validator(mode="after")
    def _ascending(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"search.space: low {self.low} must be less than high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("search.space: log needs a low above 0, and no step")
        return self

    @property
    def whole(self) -> bool:
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 1))


class Choices(Section):
    """One of these."""

    choices: Annotated[tuple[Value, ...], MinLen(1)]
    """What is tried."""


def _kind(tried: Any) -> str:
    """What was meant, so that nothing is said of the other one."""
    return "choices" if isinstance(tried, Choices) or (isinstance(tried, dict) and "choices" in tried) else "range"


Tried = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)]


class Search(Section):
    """For `joulebox search`: keys of a profile, such as `distill.temperature`, with what to try for each."""

    space: Annotated[dict[str, Tried], MinLen(1)]
    """From a key of the profile to what is tried for it."""
    objectives: Annotated[tuple[Objective, ...], MinLen(1)] = ("accuracy", "bytes")
    """Of the int8 student, on validation data."""
    trials: Positive = 30
    """Until a study has so many."""
    sampler: Literal["tpe", "nsga2"] = "tpe"
    """Optuna's."""
    stop_after: Positive = 3
    """Epochs of training, from when on a trial that is far behind is stopped."""
    stop_margin: Fraction = 0.02
    """How far: below every finished trial at that epoch, by so much accuracy."""

    @model_validator(mode="after")
    def _each_once(self) -> Search:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"search.objectives: {', '.join(self.objectives)}; expected each at most once")
        return self
