"""The native API's requests and answers. Requests are documented by these and checked as they are decoded."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from joulebox.http.inputs import IMAGES_MAX, TEXTS_MAX
from joulebox.http.texts import CHARACTERS_MAX

Pixels = list[list[Annotated[float, Field(ge=0, le=255)]]] | list[list[list[Annotated[float, Field(ge=0, le=255)]]]]
Nested = Annotated[
    list[Any] | float | bool | str,
    Field(description="Nested lists of the tensor's shape, the batch first; the value itself where it has none"),
]


class Body(BaseModel):
    """A request body: no key beside those that are known."""

    model_config = ConfigDict(extra="forbid")


class ImageBody(Body):
    """One image."""

    image: Annotated[str, Field(description="Base64 of an image file", json_schema_extra={"format": "byte"})] | Pixels


class ImagesBody(Body):
    """Several images, computed as one batch."""

    images: Annotated[list[str | Pixels], Field(min_length=1, max_length=IMAGES_MAX)]


Text = Annotated[str, Field(description=f"At most {CHARACTERS_MAX:,} characters")]


class TextBody(Body):
    """One text."""

    text: Text


class TextsBody(Body):
    """Several texts, computed as one batch."""

    texts: Annotated[list[Text], Field(min_length=1, max_length=TEXTS_MAX)]


class TensorsBody(Body):
    """The model's input tensors by name, past its preprocessing if it has one."""

    inputs: dict[str, Nested]


class Score(BaseModel):
    """One class and its probability."""

    label: str
    confidence: Annotated[float, Field(ge=0, le=1)]


class Energy(BaseModel):
    """What the answer cost, all its items together, as far as known when it was given."""

    joules: float | None
    source: str = Field(description="measured, integrated, estimated or none")
    provisional: bool


class Served(BaseModel):
    """What answered, how long it took and what it cost."""

    model: str
    version: str
    engine: str
    variant: str
    latency_ms: float = Field(description="Queue and compute, in milliseconds", ge=0)
    energy: Energy | None = Field(description="null for clients beyond loopback unless exposed")


class Classified(BaseModel):
    """One item's best class, and the best few."""

    label: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    top: list[Score]


class Prediction(Served, Classified):
    """The answer to one image or text."""


class Predictions(Served):
    """The answer to several images or texts, in their order."""

    predictions: list[Classified]


class Outputs(Served):
    """The answer of a model without post-processing, or to input tensors: the output tensors by name."""

    outputs: dict[str, Nested]
    predictions: list[Classified] | None = Field(default=None, description="One per item, where the model classifies")


class Problem(BaseModel):
    """Every error: what was wrong, the value, and what was expected."""

    error: str
