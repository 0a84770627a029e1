"""What a manifest says of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from joulebox.package import Package
from joulebox.package.manifest import ImagePreprocess

Make = Callable[..., Package]
PREPROCESS: dict[str, Any] = {"height": 2, "width": 3, "channels": 1, "mean": [0.5], "std": [0.25]}


def test_a_package_made_before_there_was_a_choice_stretches_images_to_nchw(make: Make) -> None:
    preprocess = make().manifest.preprocess
    assert preprocess is not None
    assert (preprocess.resize, preprocess.layout) == ("stretch", "NCHW")


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (1, 2, 3)), ("NHWC", (2, 3, 1))])
def test_the_layout_decides_the_inputs_shape(make: Make, layout: str, shape: tuple[int, ...]) -> None:
    preprocess = {**PREPROCESS, "layout": layout}
    inputs = [{"name": "image", "datatype": "FP32", "shape": [-1, *shape]}]
    manifest = make(preprocess=preprocess, inputs=inputs).manifest
    assert manifest.preprocess is not None
    assert manifest.preprocess.shape == shape
    with pytest.raises(ValidationError, match="preprocess makes one FP32 input"):
        make(preprocess=preprocess, inputs=[{**inputs[0], "shape": [-1, *shape[::-1]]}])


@pytest.mark.parametrize("change", [{"layout": "HWC"}, {"resize": "pad"}])
def test_another_choice_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"{next(iter(change))}"):
        ImagePreprocess.model_validate({**PREPROCESS, **change})


def test_scale_and_offset_are_worked_out_once() -> None:
    preprocess = ImagePreprocess.model_validate(PREPROCESS)
    scale, offset = preprocess.affine()
    np.testing.assert_allclose(np.array([0, 255]) * scale + offset, [-2, 2], rtol=1e-6)
    assert preprocess.affine()[0] is scale
    assert preprocess == ImagePreprocess.model_validate(PREPROCESS), "and change nothing that is compared or written"
    assert preprocess.model_dump().keys() == {"kind", *PREPROCESS, "resize", "layout"}
