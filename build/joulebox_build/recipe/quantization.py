"""How a student becomes int8."""

from __future__ import annotations

from joulebox_build.recipe.section import Positive, Section


class Quantization(Section):
    """Static int8 post-training quantization."""

    samples: Positive = 1000  # of the training data, to calibrate on
