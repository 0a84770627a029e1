"""How far a variant may be from the goldens follows what was measured, and never so far that another model passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from joulebox_build.errors import GateError
from joulebox_build.packing.tolerance import CAP, MARGIN, spread, tolerance

REFERENCE = np.asarray([[10.0, -5.0, 0.0], [-6.0, 9.0, 1.0], [1.0, 2.0, 8.0], [0.5, 0.4, 0.3]], np.float32)
LOGITS = arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(2, 5)), elements=st.floats(-50, 50, width=32))


def test_it_is_above_the_measured_error_and_grows_with_it() -> None:
    near, far = (tolerance("cpu-int8", "int8", REFERENCE, REFERENCE + np.float32(error)) for error in (0.1, 0.5))
    assert 0.1 < near < far < 1.5
    assert 0 < tolerance("cpu-fp32", "fp32", REFERENCE, REFERENCE) < 0.01


@pytest.mark.parametrize("precision", MARGIN)
def test_an_error_beyond_two_fifths_of_the_spread_is_refused_and_one_below_gets_no_more(precision: str) -> None:
    cap = CAP * spread(REFERENCE)
    assert cap == pytest.approx(6.4)
    near = REFERENCE + np.float32(0.9 * cap)
    assert tolerance("trt-int8", precision, REFERENCE, near) == pytest.approx(cap)
    with pytest.raises(
        GateError, match=r"trt-int8 is refused: a golden logit is off by 7\.04 from fp32's, expected at most 6\.4"
    ):
        tolerance("trt-int8", precision, REFERENCE, REFERENCE + np.float32(1.1 * cap))


@pytest.mark.parametrize("precision", MARGIN)
@given(part=st.floats(0, 1), scale=st.floats(0.01, 100))
def test_what_it_lets_through_is_never_refused_on_the_very_host_nor_above_the_cap(
    precision: str, part: float, scale: float
) -> None:
    reference = REFERENCE * np.float32(scale)
    actual = reference + np.float32(part * CAP * spread(reference))
    error = float(np.abs(actual - reference).max())
    try:
        allowed = tolerance("cpu-int8", precision, reference, actual)
    except GateError:
        assert error > 0.9 * CAP * spread(reference)
    else:
        assert error <= allowed <= CAP * spread(reference)


@pytest.mark.parametrize("precision", MARGIN)
@given(reference=LOGITS, data=st.data())
def test_what_does_not_look_at_its_input_never_passes(
    precision: str, reference: np.ndarray, data: st.DataObject
) -> None:
    alike = data.draw(arrays(np.float32, reference.shape[1:], elements=st.floats(-50, 50, width=32)))
    with pytest.raises(GateError):
        tolerance("gpu-fp16", precision, reference, np.tile(alike, (len(reference), 1)))


@pytest.mark.parametrize("precision", MARGIN)
@pytest.mark.parametrize("seed", range(10))
def test_unrelated_logits_never_pass(precision: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    reference, unrelated = random.normal(size=(2, 16, 10)).astype(np.float32)
    with pytest.raises(GateError, match="is refused"):
        tolerance("gpu-fp16", precision, 5 * reference, 5 * unrelated)


def test_an_answer_that_fp32_is_sure_of_has_to_be_the_same() -> None:
    other = REFERENCE.copy()
    other[2] = [4.9, 2.0, 4.8]  # off by less than that
    with pytest.raises(
        GateError, match=r"of golden sample 2 it says class 0, expected 2, of which fp32 is sure by 100%"
    ):
        tolerance("cpu-weights-int4", "mixed", REFERENCE, other)
    other = REFERENCE.copy()
    other[3] = [0.3, 0.4, 0.5]  # a near tie
    assert tolerance("cpu-weights-int4", "mixed", REFERENCE, other) < 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    broken = REFERENCE.copy()
    broken[1, 1] = value
    with pytest.raises(GateError, match="gpu-fp16 is refused"):
        tolerance("gpu-fp16", "fp16", REFERENCE, broken)


def test_goldens_that_are_all_answered_alike_tell_nothing() -> None:
    with pytest.raises(GateError, match="fp32 answers all 3 golden samples alike"):
        tolerance("cpu-fp32", "fp32", REFERENCE[[0, 0, 0]], REFERENCE[[0, 0, 0]])
