"""What a manifest says of images and texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from joulebox.package import Package
from joulebox.package.manifest import ImagePreprocess, TextPreprocess

Make = Callable[..., Package]
PREPROCESS: dict[str, Any] = {"height": 2, "width": 3, "channels": 1, "mean": [0.5], "std": [0.25]}


def test_a_package_made_before_there_was_a_choice_stretches_images_to_nchw(make: Make) -> None:
    preprocess = make().manifest.preprocess
    assert isinstance(preprocess, ImagePreprocess)
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


IDS = {"name": "ids", "datatype": "INT64", "shape": [-1, 8]}
TEXT: dict[str, Any] = {"kind": "text", "buckets": 100, "length": 8}


def test_a_text_becomes_whole_numbers(make: Make) -> None:
    preprocess = make(preprocess=TEXT, inputs=[IDS]).manifest.preprocess
    assert isinstance(preprocess, TextPreprocess)
    assert (preprocess.characters, preprocess.lowercase, preprocess.word_ngrams) == (1000, True, 1)


@pytest.mark.parametrize(("key", "value"), [("datatype", "INT32"), ("shape", [-1, 9])])
def test_another_input_than_its_own_is_refused(make: Make, key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=r"preprocess makes one INT64 input \[-1, 8\]"):
        make(preprocess=TEXT, inputs=[{**IDS, key: value}])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "sound"}, "image, text|'image', 'text'"),
        ({"buckets": 0}, "greater than 0"),
        ({"buckets": 2**25}, "less than or equal to 16777216"),
        ({"fold": ["names"]}, "'urls', 'mentions' or 'numbers'"),
        ({"character_ngrams": [5, 3]}, r"character_ngrams is \[5, 3\]; expected the shorter first"),
        ({"character_ngrams": [3]}, "character_ngrams"),
        ({"stemming": True}, "stemming"),
    ],
)
def test_what_cannot_be_done_with_a_text_is_refused(make: Make, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make(preprocess={**TEXT, **change}, inputs=[IDS])
