"""Samples as the page shows them: images as small PNGs, texts as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from joulebox_build.data.dataset import Inputs

SIDE_MAX = 64  # pixels
LETTERS_MAX = 400
FELL, ROSE = (217, 72, 15), (0, 114, 178)  # orange and blue, which the colour-blind tell apart, too
OPAQUE = 220  # of 255, so that the image is seen through the strongest shade
FAINTEST = 0.02  # a fall of probability that is drawn with full strength at the least


@dataclass(frozen=True)
class Sample:
    """What is known of it for people: the `data:` address of a picture, or a text; neither of a tensor."""

    picture: str | None = None
    text: str | None = None


def sample_of(inputs: Inputs, number: int) -> Sample:
    """One of the samples `[N, ...]`."""
    value = inputs[number]
    if inputs.dtype == np.object_:
        return Sample(text=value if len(value) <= LETTERS_MAX else f"{value[:LETTERS_MAX]}…")
    return Sample(picture=png(_picture(value))) if inputs.dtype == np.uint8 else Sample()


def shades(drops: Sequence[Sequence[float]]) -> str:
    """An occlusion map as a picture to lie over its image: orange where the probability falls, blue where it rises."""
    found = np.asarray(drops, np.float64)
    strength = np.abs(found) / max(float(np.abs(found).max()), FAINTEST)
    colours = np.where(found[..., None] >= 0, np.asarray(FELL), np.asarray(ROSE))
    pixels = np.concatenate([colours, np.round(strength[..., None] * OPAQUE)], axis=-1).astype(np.uint8)
    return png(Image.fromarray(pixels, "RGBA"))


def png(image: Image.Image) -> str:
    """A `data:` address; the same for the same pixels."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Of uint8 `[C, H, W]`: three channels are colours, any other number is shown as their mean."""
    shown = np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else np.asarray(np.round(pixels.mean(0)), np.uint8)
    image = Image.fromarray(np.ascontiguousarray(shown, np.uint8))
    image.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS)
    return image
