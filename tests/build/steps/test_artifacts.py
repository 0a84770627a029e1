"""Arrays are kept as NumPy writes them, and read without a copy."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from joulebox_build.steps.artifacts import from_npy, npy

ARRAYS = st.sampled_from([np.float16, np.float32, np.int64]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_side=0))
)


@given(ARRAYS, st.booleans())
def test_what_was_kept_is_read_again_by_us_and_by_numpy(array: Any, turned: bool) -> None:
    content = npy(array.T if turned else array)
    for found in (from_npy(content), np.load(BytesIO(content))):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array.T if turned else array)


def test_it_lies_in_the_bytes_that_were_read() -> None:
    content = npy(np.arange(5, dtype=np.float32))
    assert np.shares_memory(from_npy(content), np.frombuffer(content, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        from_npy(content)[0] = 1
