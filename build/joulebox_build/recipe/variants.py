"""The forms in which a model is shipped."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

VariantName = Literal["cpu-int8", "cpu-fp32", "cpu-weights-int8", "cpu-weights-int4", "gpu-fp16", "trt-int8"]
ALWAYS: tuple[VariantName, ...] = ("cpu-int8", "cpu-fp32")


def _sound(variants: tuple[VariantName, ...]) -> tuple[VariantName, ...]:
    missing = [name for name in ALWAYS if name not in variants]
    if missing:
        raise ValueError(f"variants: {missing[0]} is missing; {' and '.join(ALWAYS)} are what the gate judges")
    if len(set(variants)) < len(variants):
        raise ValueError("variants: one is named twice")
    return variants


Variants = Annotated[tuple[VariantName, ...], AfterValidator(_sound)]
