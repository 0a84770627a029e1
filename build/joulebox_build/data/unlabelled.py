"""Data without labels, for a model that is given: to calibrate on, and to hold its answers against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.checks import check_type
from joulebox_build.data.dataset import Inputs, Split
from joulebox_build.errors import DataError


@dataclass(frozen=True)
class Unlabelled:
    """The model's class names, samples to calibrate on, and others for the test, with groups that these fall into by name."""

    labels: tuple[str, ...]
    calibration: Inputs
    test: Inputs
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict[str, NDArray[np.str_]])

    def __post_init__(self) -> None:
        for name, inputs in self.inputs().items():
            check_type(f"{name} inputs", inputs, np.ndarray)
            if len(inputs) == 0:
                raise DataError(f"{name} has no sample; it needs some")
        seen = {sample.tobytes() for sample in self.calibration}
        shared = sum(sample.tobytes() in seen for sample in self.test)
        if shared:
            raise DataError(f"{shared} samples are both in calibration and in test; they have to be different ones")
        for name, group in self.groups.items():
            check_type(f"groups: {name}", group, np.ndarray)
            if group.shape != (len(self.test),):
                raise DataError(
                    f"groups: {name} has shape {list(group.shape)}; expected one for each of {len(self.test)} test samples"
                )

    def inputs(self) -> dict[str, Inputs]:
        return {"calibration": self.calibration, "test": self.test}

    def digests(self) -> dict[str, str]:
        """SHA-256 of each part."""
        unknown = np.zeros(0, np.int64)
        return {
            "calibration": Split(self.calibration, unknown).digest(),
            "test": Split(self.test, unknown, self.groups).digest(),
        }
