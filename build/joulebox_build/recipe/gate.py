"""What the student is held against."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Lt

from joulebox_build.recipe.section import Fraction, Positive, PositiveFloat, Section


class Gate(Section):
    """Limits on the int8 student's test figures. Each is optional but one: it has to beat the best of the baselines.

    Accuracies, and differences between them, are fractions of one. docs/gate.md says how each limit is tested.
    """

    accuracy_min: Fraction | None = None
    """The least accuracy."""
    teacher_drop_max: Fraction | None = None
    """From the teacher's accuracy to the student's; a larger loss is let through where McNemar's test calls it noise."""
    quantization_drop_max: Fraction | None = None
    """From fp32 to int8; noise as above."""
    agreement_min: Fraction | None = None
    """The part of samples on which it answers what the teacher does."""
    calibration_error_max: Fraction | None = None
    """Expected calibration error, at the temperature fitted on validation data."""
    slice_accuracy_min: Fraction | None = None
    """Of the worst group of samples."""
    slice_gap_max: Fraction | None = None
    """Between the worst and the best group of one slice."""
    corruption_drop_max: Fraction | None = None
    """From the clean test data to each of the profile's corruptions."""
    bytes_max: Positive | None = None
    """Of the ONNX file."""
    parameters_max: Positive | None = None
    """Of the network."""
    peak_memory_max_bytes: Positive | None = None
    """Of activations, one sample at a time."""
    latency_p99_max_s: PositiveFloat | None = None
    """Of one sample on one thread, measured on the build host."""
    joules_per_inference_max: PositiveFloat | None = None
    """Above rest, on the build host; unknown is not met."""
    significance: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Of McNemar's test, two-sided."""
    slice_samples_min: Positive = 30
    """Smaller groups are shown, not judged."""
