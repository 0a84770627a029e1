"""Requests become tensors, whichever way they are sent, or are refused with Triton's text."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from joulebox.engine.datatypes import NUMPY
from joulebox.grpc.codec import read_call
from joulebox.grpc.contents import FIELDS
from joulebox.grpc.messages import ModelInferRequest, parse
from joulebox.oip.tensors import to_raw
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest, NotFound, Unsupported
from joulebox.runtime.regions import Regions

DATATYPES = sorted(NUMPY)
TYPED = sorted(FIELDS)
NO_MEMORY = Regions(enabled=False)


def model(*specs: TensorSpec) -> Any:
    """What the codec looks at of a model."""
    manifest = SimpleNamespace(inputs=list(specs), outputs=list(specs), batched=True, labels=[])
    return SimpleNamespace(name="m", version="v", package=SimpleNamespace(manifest=manifest))


def spec(datatype: str, *shape: int, name: str = "x") -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=list(shape or (-1,)))


def values(datatype: str) -> st.SearchStrategy[np.ndarray]:
    """Arrays of that datatype of one dimension, any bits for floats."""
    shape = st.integers(1, 5)
    if datatype != "BYTES":
        return arrays.arrays(NUMPY[datatype], shape)
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    return st.lists(text, min_size=1, max_size=5).map(lambda texts: np.array(texts, np.object_))


def request(datatype: str, array: np.ndarray, **fields: Any) -> Any:
    asked = ModelInferRequest(model_name="m", **fields)
    asked.inputs.add(name="x", datatype=datatype, shape=array.shape)
    return asked


def typed(datatype: str, array: np.ndarray) -> Any:
    asked = request(datatype, array)
    content = [text.encode() for text in array] if datatype == "BYTES" else array.tolist()
    getattr(asked.inputs[0].contents, FIELDS[datatype]).extend(content)
    return asked


def read(datatype: str, asked: Any) -> np.ndarray:
    """The one tensor, after the request went over the wire."""
    sent = ModelInferRequest.FromString(asked.SerializeToString())
    return read_call(model(spec(datatype)), sent, NO_MEMORY).inputs["x"]


def same(one: np.ndarray, other: np.ndarray) -> None:
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("datatype", DATATYPES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_raw_tensor_is_what_was_sent(datatype: str, data: st.DataObject) -> None:
    array = data.draw(values(datatype))
    same(read(datatype, request(datatype, array, raw_input_contents=[to_raw(array)])), array)


@pytest.mark.parametrize("datatype", TYPED)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_typed_tensor_is_what_was_sent(datatype: str, data: st.DataObject) -> None:
    array = data.draw(values(datatype))
    same(read(datatype, typed(datatype, array)), array)


def test_raw_tensors_are_not_copied_again() -> None:
    asked = request("FP32", np.zeros(4), raw_input_contents=[bytes(16)])
    tensor = read_call(model(spec("FP32")), asked, NO_MEMORY).inputs["x"]
    assert not tensor.flags.owndata


@given(st.binary(max_size=200))
def test_bytes_that_are_no_request_are_refused_or_read(content: bytes) -> None:
    """Whatever comes, it is an error of the client's or a request that fits."""
    with suppress(BadRequest, NotFound, Unsupported):
        read_call(model(spec("FP32")), parse(ModelInferRequest, content), NO_MEMORY)


def one(**changes: Any) -> Any:
    """A good request for one FP32 of shape [2], but for the changes to its input."""
    asked = ModelInferRequest(model_name="m", raw_input_contents=[bytes(8)])
    asked.inputs.add(**{"name": "x", "datatype": "FP32", "shape": [2], **changes})
    return asked


def with_contents(field: str, content: list[Any], *, raw: bool = False, datatype: str = "FP32") -> Any:
    asked = one(datatype=datatype)
    if not raw:
        del asked.raw_input_contents[:]
    getattr(asked.inputs[0].contents, field).extend(content)
    return asked


def twice(what: str) -> Any:
    asked = one()
    if what == "inputs":
        asked.inputs.add(name="x", datatype="FP32", shape=[2])
        asked.raw_input_contents.append(bytes(8))
    else:
        asked.outputs.add(name="x")
        asked.outputs.add(name="x")
    return asked


def with_parameter(where: str, name: str, **value: Any) -> Any:
    asked = one()
    if where == "output":
        asked.outputs.add(name="x")
    holder = {"request": asked, "input": asked.inputs[0], "output": asked.outputs[0] if asked.outputs else None}[where]
    for kind, content in value.items():
        setattr(holder.parameters[name], kind, content)
    return asked


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (one(name="y"), "unexpected inference input 'y' for model 'm'"),
        (one(datatype="INT8"), "inference input 'x' data-type is 'INT8', but model 'm' expects 'FP32'"),
        (one(shape=[2, 1]), r"unexpected shape for input 'x' for model 'm'. Expected \[-1\], got \[2,1\]"),
        (one(shape=[3]), "unexpected total byte size 8 for input 'x', expecting 12"),
        (one(shape=[-1]), "sizes are whole numbers from 0 up"),
        (one(shape=[0]), "which holds nothing"),
        (one(shape=[2**62]), "elements; at most"),
        (ModelInferRequest(model_name="m"), "expected 1 inputs but got 0 inputs for model 'm'"),
        (
            ModelInferRequest(
                model_name="m", inputs=[ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[2])]
            ),
            "unable to find data for input tensor 'x' for model 'm' in request",
        ),
        (
            ModelInferRequest(model_name="m", inputs=one().inputs, raw_input_contents=[bytes(8), bytes(8)]),
            "expected 1 raw_input_contents",
        ),
        (
            with_contents("fp32_contents", [1.0, 2.0], raw=True),
            "contents field must not be specified when using raw_input_contents for 'x' for model 'm'",
        ),
        (
            with_contents("int64_contents", [1, 2]),
            "unexpected explicit tensor data for input tensor 'x' for model 'm' of type 'INT64', expected datatype 'FP32'",
        ),
        (with_contents("fp32_contents", [1.0]), "1 values; expected 2"),
        (with_contents("fp32_contents", []), "unable to find data for input tensor 'x'"),
        (twice("inputs"), "input 'x' already exists in request for model 'm'"),
        (twice("outputs"), "an output is asked for twice"),
        (with_parameter("request", "timeout", string_param="soon"), "timeout is 'soon'"),
        (with_parameter("request", "timeout", int64_param=-1), "expected microseconds"),
        (with_parameter("request", "triton_x", bool_param=True), "parameter keys starting with 'triton_' are reserved"),
        (
            with_parameter("request", "triton_enable_empty_final_response", int64_param=1),
            "invalid value type for 'triton_enable_empty_final_response' parameter, expected bool_param",
        ),
        (with_parameter("output", "classification", int64_param=-1), "classification is '-1'"),
        (
            with_parameter("input", "shared_memory_offset", int64_param=0),
            "'shared_memory_offset' can not be specified without 'shared_memory_region' parameter for tensor 'x'",
        ),
        (
            with_parameter("output", "shared_memory_region", int64_param=0),
            "invalid value type for 'shared_memory_region' parameter for tensor 'x', expected string_param",
        ),
        (
            with_parameter("output", "shared_memory_region", string_param="frames"),
            "'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor 'x'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(asked: Any, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        read_call(model(spec("FP32")), asked, NO_MEMORY)


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 128), ("UINT8", 256), ("INT16", -(2**15) - 1)])
def test_a_value_that_the_datatype_cannot_hold_is_refused(datatype: str, value: int) -> None:
    asked = with_contents(FIELDS[datatype], [value, 0], datatype=datatype)
    with pytest.raises(BadRequest, match=f"a value outside {datatype}"):
        read_call(model(spec(datatype)), asked, NO_MEMORY)


def test_fp16_is_sent_raw() -> None:
    asked = with_contents("fp32_contents", [1.0, 2.0], datatype="FP16")
    with pytest.raises(BadRequest, match="of type 'FP32', expected datatype 'FP16'"):
        read_call(model(spec("FP16")), asked, NO_MEMORY)


def test_typed_and_raw_inputs_do_not_mix() -> None:
    asked = one()
    asked.inputs.add(name="y", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1.0, 2.0])
    with pytest.raises(BadRequest, match="contents field must not be specified when using raw_input_contents for 'y'"):
        read_call(model(spec("FP32"), spec("FP32", name="y")), asked, NO_MEMORY)
