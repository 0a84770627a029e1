"""Tensors of a request: what fits the manifest comes through unchanged, all else is refused before it costs memory."""

from __future__ import annotations

import math
import struct
import tracemalloc
from typing import Any, get_args

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from numpy.typing import NDArray

from joulebox.engine.datatypes import NUMPY
from joulebox.oip.tensors import (
    ELEMENTS_MAX,
    check_shape,
    from_json,
    from_raw,
    from_values,
    to_json,
    to_raw,
)
from joulebox.package import TensorSpec
from joulebox.package.manifest import Datatype
from joulebox.runtime.errors import BadRequest

DATATYPES: tuple[Datatype, ...] = get_args(Datatype)
SHAPES = stn.array_shapes(min_dims=0, max_dims=4, max_side=4)


def spec(datatype: str, *shape: int) -> TensorSpec:
    return TensorSpec.model_validate({"name": "x", "datatype": datatype, "shape": shape})


def tensors(datatype: Datatype, *, finite: bool = False) -> st.SearchStrategy[NDArray[Any]]:
    if datatype == "BYTES":
        return stn.arrays(object, SHAPES, elements=st.text(max_size=8), fill=st.nothing())
    dtype = NUMPY[datatype]
    elements = {"allow_nan": not finite, "allow_infinity": not finite} if dtype.kind == "f" else None
    return stn.arrays(dtype, SHAPES, elements=elements)


DATATYPE = st.sampled_from(DATATYPES)
TENSOR = DATATYPE.flatmap(lambda datatype: st.tuples(st.just(datatype), tensors(datatype)))
FINITE = DATATYPE.flatmap(lambda datatype: st.tuples(st.just(datatype), tensors(datatype, finite=True)))


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype == object:
        return one.shape == other.shape and one.tolist() == other.tolist()
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@settings(max_examples=150)
@given(given_tensor=TENSOR, shift=st.integers(0, 7))
def test_raw_tensors_of_every_datatype_come_through_bit_by_bit_wherever_they_lie(
    given_tensor: tuple[Datatype, NDArray[Any]], shift: int
) -> None:
    datatype, array = given_tensor
    raw = to_raw(array)
    body = b"\1" * shift + bytes(raw) + b"\1"
    back = from_raw(spec(datatype, *array.shape), array.shape, memoryview(body)[shift:-1])
    assert same(back, array)
    assert back.flags.aligned
    assert bytes(to_raw(back)) == bytes(raw)


def test_raw_tensors_that_are_aligned_are_not_copied() -> None:
    body = np.arange(4, dtype=np.float32).tobytes()
    assert np.shares_memory(from_raw(spec("FP32", 4), (4,), body), np.frombuffer(body, np.uint8))


@settings(max_examples=100)
@given(given_tensor=TENSOR)
def test_outputs_that_are_not_contiguous_are_written_in_their_order(
    given_tensor: tuple[Datatype, NDArray[Any]],
) -> None:
    array = given_tensor[1]
    twisted = array.T[::-1] if array.ndim else array
    straight = twisted.copy(order="C")
    assert bytes(to_raw(twisted)) == bytes(to_raw(straight))
    if array.dtype.kind != "f":
        as_json = [orjson.dumps(to_json("x", each), option=orjson.OPT_SERIALIZE_NUMPY) for each in (twisted, straight)]
        assert as_json[0] == as_json[1]


@settings(max_examples=150)
@given(given_tensor=FINITE, flat=st.booleans())
def test_json_of_every_datatype_comes_through_flat_or_nested(
    given_tensor: tuple[Datatype, NDArray[Any]], flat: bool
) -> None:
    datatype, array = given_tensor
    written = orjson.loads(orjson.dumps(to_json("x", array), option=orjson.OPT_SERIALIZE_NUMPY))
    data = (
        written
        if flat or not array.ndim
        else orjson.loads(orjson.dumps(np.array(written, object).reshape(array.shape).tolist()))
    )
    back = from_json(spec(datatype, *array.shape), array.shape, data)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert (back == array).all()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=1), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=200)
@given(data=st.lists(JSON, max_size=6) | JSON, datatype=DATATYPE, shape=SHAPES)
def test_whatever_json_is_sent_makes_the_tensor_of_that_shape_or_a_bad_request(
    data: Any, datatype: Datatype, shape: tuple[int, ...]
) -> None:
    try:
        array = from_json(spec(datatype, *shape), shape, data)
    except BadRequest:
        return
    assert array.shape == shape
    assert array.dtype == NUMPY[datatype]


@settings(max_examples=150)
@given(raw=st.binary(max_size=40), datatype=DATATYPE, shape=SHAPES)
def test_whatever_bytes_are_sent_make_the_tensor_of_that_shape_or_a_bad_request(
    raw: bytes, datatype: Datatype, shape: tuple[int, ...]
) -> None:
    try:
        array = from_raw(spec(datatype, *shape), shape, raw)
    except BadRequest:
        return
    assert array.shape == shape
    assert bytes(to_raw(array)) == raw


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT32", [True]),
        ("INT32", [1, True]),
        ("INT32", [1.0]),
        ("INT32", [1, 2.5]),
        ("INT32", ["1"]),
        ("INT32", [1, "1"]),
        ("INT32", [1, None]),
        ("INT32", [2**31]),
        ("INT8", [-129]),
        ("UINT8", [-1]),
        ("UINT64", [-1]),
        ("INT64", [2**63]),
        ("BOOL", [1]),
        ("BOOL", [True, 0]),
        ("BOOL", ["true"]),
        ("FP32", [True]),
        ("FP32", ["1.5"]),
        ("FP32", [1.5, None]),
        ("FP32", [1.5, "nan"]),
        ("FP32", [1.5, "x"]),
        ("FP32", [1.5, {}]),
        ("FP32", [1e39]),
        ("FP16", [65536.0]),
        ("FP32", [[1.0], 2.0]),
        ("FP32", []),
        ("FP32", 1.0),
        ("FP32", {"a": 1}),
        ("BYTES", [1]),
        ("BYTES", ["a", None]),
        ("BYTES", [["a"], "b"]),
    ],
)
def test_json_values_that_are_not_of_the_datatype_are_refused(datatype: str, data: Any) -> None:
    shape = (max(1, len(data)),) if isinstance(data, list) else (1,)
    with pytest.raises(BadRequest, match="input 'x'"):
        from_json(spec(datatype, *shape), shape, data)


def test_whole_numbers_are_floats_too() -> None:
    assert from_json(spec("FP32", 2), (2,), [1, 2.5]).tolist() == [1.0, 2.5]


@pytest.mark.parametrize("values", [[2**64 - 1], [1, 2**63], [2**53 + 1, 2**63 + 1, 0]])
def test_uint64_keeps_every_digit_beyond_int64(values: list[int]) -> None:
    shape = (len(values),)
    assert from_json(spec("UINT64", *shape), shape, values).tolist() == values
    assert from_values(spec("UINT64", *shape), shape, values).tolist() == values


def test_one_long_text_among_numbers_costs_no_memory_of_their_product() -> None:
    data = ["x" * 200_000, *[1] * 20_000]
    for datatype in ("INT32", "FP32"):
        for order in (data, data[::-1]):
            tracemalloc.start()
            with pytest.raises(BadRequest):
                from_json(spec(datatype, -1), (len(data),), order)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2_000_000


@pytest.mark.parametrize("depth", [40, 70, 900])
def test_data_nested_deeper_than_a_tensor_can_be_is_refused(depth: int) -> None:
    for leaf, datatype in ((1, "INT32"), (1.0, "FP32"), ("a", "BYTES")):
        data: Any = [leaf]
        for _ in range(depth):
            data = [data]
        with pytest.raises(BadRequest):
            from_json(spec(datatype, 1), (1,), data)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([2, 3], "unexpected shape"),
        ([2], "unexpected shape"),
        ([0, 4], "holds nothing"),
        ([-1, 4], "whole numbers"),
        ([True, 4], "whole numbers"),
        ([1.0, 4], "whole numbers"),
        (["1", 4], "whole numbers"),
        ([2**62, 4], "at most"),
        ([10**300, 4], "at most"),
        ("1,4", "expected a list"),
        (None, "expected a list"),
        ([1] * 40, "expected a list"),
    ],
)
def test_a_shape_that_lies_is_refused_with_what_was_expected(shape: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        check_shape("m", spec("FP32", -1, 4), shape)


def test_the_largest_tensor_is_allowed_and_one_more_is_not() -> None:
    assert math.prod(check_shape("m", spec("UINT8", -1), [ELEMENTS_MAX])) == ELEMENTS_MAX
    with pytest.raises(BadRequest, match="at most"):
        check_shape("m", spec("UINT8", -1), [ELEMENTS_MAX + 1])


def test_a_huge_count_allocates_nothing_before_it_is_refused() -> None:
    tracemalloc.start()
    for datatype in ("BYTES", "FP64"):
        with pytest.raises(BadRequest, match="unexpected total byte size 8"):
            from_raw(spec(datatype, -1), (ELEMENTS_MAX,), b"\0" * 8)
    with pytest.raises(BadRequest):
        from_json(spec("FP64", -1), (ELEMENTS_MAX,), [1.0])
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


@pytest.mark.parametrize("raw", [b"\x04\0\0\0abc", b"\xff\xff\xff\xffabc", b"\x03\0\0\0abcd", b"\0\0\0", b""])
def test_bytes_with_lengths_that_lie_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="input 'x'"):
        from_raw(spec("BYTES", 1), (1,), raw)


def test_bytes_that_are_not_utf_8_are_refused_with_their_input() -> None:
    raw = struct.pack("<I", 2) + b"\xff\xfe"
    with pytest.raises(BadRequest, match="input 'x' has a BYTES element that is not UTF-8"):
        from_raw(spec("BYTES", 1), (1,), raw)
    with pytest.raises(BadRequest, match="not UTF-8"):
        from_values(spec("BYTES", 1), (1,), [b"\xff"])


def test_bool_is_0_or_1() -> None:
    assert from_raw(spec("BOOL", 2), (2,), b"\0\1").tolist() == [False, True]
    with pytest.raises(BadRequest, match="neither 0 nor 1"):
        from_raw(spec("BOOL", 2), (2,), b"\0\2")


def test_typed_contents_are_held_against_datatype_and_count() -> None:
    assert from_values(spec("INT8", 2), (2,), [-128, 127]).tolist() == [-128, 127]
    assert from_values(spec("BYTES", 1), (1,), [b"\xc3\xa4"]).tolist() == ["ä"]
    assert math.isnan(from_values(spec("FP32", 1), (1,), [math.nan])[0])
    for datatype, values in (("INT8", [0, 128]), ("INT8", [1]), ("FP32", [math.nan, 1e39])):
        with pytest.raises(BadRequest, match="input 'x'"):
            from_values(spec(datatype, 2), (2,), values)


def test_what_json_cannot_say_is_not_said() -> None:
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(BadRequest, match="binary_data"):
            to_json("y", np.array([1.0, value]))


def test_strings_of_the_engine_and_of_clients_are_written_alike() -> None:
    array = np.array(["ä", b"\xc3\xa4"], object)
    assert to_raw(array) == b"\2\0\0\0\xc3\xa4" * 2
    assert to_json("y", array) == ["ä", "ä"]
