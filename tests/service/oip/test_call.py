"""What a call asks for, held against the manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from joulebox.oip.call import CLASSES_MAX, check_inputs, classes_of, input_spec, output_spec, timeout_of
from joulebox.package import Package
from joulebox.runtime.errors import BadRequest


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, None), (0, None), (1, 1e-6), (2_000_000, 2.0), ("1500000", 1.5), (86_400_000_000, 86_400)],
)
def test_a_timeout_is_in_microseconds(asked: Any, seconds: float | None) -> None:
    assert timeout_of({"timeout": asked}) == seconds


@pytest.mark.parametrize("asked", [-1, 1.5, True, "x", "²", "-1", "9" * 40, 10**30, [1], {}, 86_400_000_001])
def test_a_timeout_that_is_none_is_refused(asked: Any) -> None:
    with pytest.raises(BadRequest, match="expected microseconds"):
        timeout_of({"timeout": asked})


@pytest.mark.parametrize("asked", [-1, 1.0, True, "3", None, CLASSES_MAX + 1])
def test_a_count_of_classes_is_a_whole_number(asked: Any) -> None:
    with pytest.raises(BadRequest, match="classification"):
        classes_of({"classification": asked})
    assert classes_of({"classification": 3}) == 3
    assert classes_of({}) == 0


def test_names_and_datatypes_are_the_manifests(package: Package) -> None:
    manifest = package.manifest
    assert input_spec("tiny", manifest, "image", "FP32").shape == [-1, 1, 4, 4]
    assert output_spec("tiny", manifest, "logits").shape == [-1, 3]
    for name, datatype, said in (
        ("x" * 500, "FP32", "it takes image"),
        (None, "FP32", "unexpected"),
        ("image", "FP16", "expects 'FP32'"),
    ):
        with pytest.raises(BadRequest, match=said) as caught:
            input_spec("tiny", manifest, name, datatype)
        assert len(str(caught.value)) < 250
    with pytest.raises(BadRequest, match="it gives logits"):
        output_spec("tiny", manifest, ["logits"])


def test_all_inputs_are_needed_with_one_batch_size(tmp_path: Any, tiny: Any) -> None:
    manifest = tiny.strings_package(tmp_path / "strings").manifest
    one, two = np.zeros(1, object), np.zeros(2, object)
    check_inputs("strings", manifest, {"text": two, "suffix": two})
    with pytest.raises(BadRequest, match=r"missing required input\(s\) \['suffix'\]"):
        check_inputs("strings", manifest, {"text": one})
    with pytest.raises(BadRequest, match="different batch sizes"):
        check_inputs("strings", manifest, {"text": one, "suffix": two})
