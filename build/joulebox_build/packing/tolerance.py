"""How far from the golden outputs a variant may be, and which one is refused because it is another model."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from joulebox_build.errors import GateError
from joulebox_build.judge.calibration import answered

# A variant may differ from the golden outputs by its own error here times MARGIN, plus SLACK of the largest logit.
# Other CPUs sum floats in another order (about 1e-6 of the value) and, without VNNI, round or saturate int8 otherwise.
# Half precision carries three digits, which GPUs sum in another order too.
MARGIN: Mapping[str, float] = {"fp32": 4.0, "int8": 2.0, "mixed": 4.0, "fp16": 4.0}
SLACK: Mapping[str, float] = {"fp32": 1e-4, "int8": 0.02, "mixed": 0.005, "fp16": 0.005}
CAP = 0.4
"""Of the spread, and never more: what answers without a look at its input is off by half of the spread at least."""
SURE = 0.9  # the reference's confidence: such a golden is no near tie


def tolerance(
    variant: str,
    precision: str,
    reference: NDArray[np.float32],
    actual: NDArray[np.float32],
    *,
    temperature: float = 1.0,
) -> float:
    """The largest absolute difference that the variant is let through with, in two digits.

    Args:
        reference: the fp32 model's logits of the goldens `[N, classes]`, two at least.
        actual: the variant's, of the same.
        temperature: of the softmax that makes confidence of logits.

    Raises:
        GateError: its answers are another model's.
    """
    cap, error = _rounded(CAP * spread(reference), down=True), float(np.abs(actual - reference).max())
    if not 0 < cap < np.inf:
        raise GateError(
            f"fp32 answers all {len(reference)} golden samples alike, so that no variant can be told from another model; "
            "have two golden.samples or more, or train longer"
        )
    if not error <= cap:
        raise GateError(
            f"{variant} is refused: a golden logit is off by {error:.3g} from fp32's, expected at most {cap:.3g}, two "
            f"fifths of what one logit spans over the goldens; leave {variant} out of variants, or quantize less"
        )
    _same_answers(variant, reference, actual, temperature)
    allowed = MARGIN[precision] * error + SLACK[precision] * float(np.abs(reference).max())
    return min(_rounded(allowed), cap)


def _rounded(value: float, *, down: bool = False) -> float:
    """To two digits, as the manifest has it."""
    if not 0 < value < np.inf:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{(math.floor if down else math.ceil)(value / unit) * unit:.2g}")


def spread(reference: NDArray[np.float32]) -> float:
    """Over the samples, from the least to the greatest value of the logit that moves most."""
    return float(np.ptp(reference, axis=0).max())


def _same_answers(
    variant: str, reference: NDArray[np.float32], actual: NDArray[np.float32], temperature: float
) -> None:
    expected, confidence = answered(reference, temperature)
    found = actual.argmax(1)
    wrong = np.flatnonzero((confidence >= SURE) & (found != expected))
    if len(wrong):
        first = wrong[0]
        raise GateError(
            f"{variant} is refused: of golden sample {first} it says class {found[first]}, expected {expected[first]}, of which "
            f"fp32 is sure by {confidence[first]:.0%}; leave {variant} out of variants, or quantize less"
        )
