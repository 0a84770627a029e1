"""Answers are put together by hand and read by protobuf."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from joulebox.grpc.answers import Answers, in_stream
from joulebox.grpc.messages import ModelInferResponse, ModelStreamInferResponse
from joulebox.grpc.wire import RAW_OUTPUT, length_of
from joulebox.oip.call import Answer, Output
from joulebox.oip.tensors import to_raw
from joulebox.package import TensorSpec
from joulebox.runtime.regions import Regions
from joulebox.runtime.sampler import Provisional

MODEL: Any = SimpleNamespace(name="m", version="v")
ANSWERS = Answers(Regions(enabled=False))  # one for all, so that what it keeps is met again


def answer(*tensors: np.ndarray, joules: float | None = 0.5) -> Answer:
    outputs = [
        (Output(TensorSpec(name=f"y{number}", datatype="FP32", shape=[-1])), "FP32", array)
        for number, array in enumerate(tensors)
    ]
    return Answer(MODEL, SimpleNamespace(), outputs, Provisional(joules, "estimated"))  # pyright: ignore[reportArgumentType]


floats = arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


@given(st.lists(floats, max_size=3), st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.floats(0, 1e9))
def test_protobuf_reads_what_was_answered(tensors: list[np.ndarray], call_id: str, joules: float) -> None:
    written = ANSWERS.write(call_id, answer(*tensors, joules=joules), energy=True)
    response = ModelInferResponse.FromString(written)
    assert (response.model_name, response.model_version, response.id) == ("m", "v", call_id)
    assert [(each.name, each.datatype, tuple(each.shape)) for each in response.outputs] == [
        (f"y{number}", "FP32", array.shape) for number, array in enumerate(tensors)
    ]
    assert list(response.raw_output_contents) == [to_raw(array) for array in tensors]
    parameters = response.parameters
    assert set(parameters) == {"energy_joules", "energy_source", "energy_provisional"}
    assert parameters["energy_joules"].double_param == joules
    assert parameters["energy_source"].string_param == "estimated"
    assert parameters["energy_provisional"].bool_param is True
    assert len(response.SerializeToString()) == len(written)  # nothing that protobuf does not know


def test_what_is_not_known_is_not_said() -> None:
    response = ModelInferResponse.FromString(ANSWERS.write("", answer(joules=None), energy=True))
    assert set(response.parameters) == {"energy_source", "energy_provisional"}


def test_who_may_not_know_the_energy_is_told_nothing_of_it() -> None:
    assert not ModelInferResponse.FromString(ANSWERS.write("", answer(), energy=False)).parameters


def test_a_stream_says_that_an_answer_is_final() -> None:
    written = in_stream(ANSWERS.write("7", answer(np.zeros(300, np.float32)), energy=True))
    response = ModelStreamInferResponse.FromString(written).infer_response
    assert response.id == "7"
    assert response.parameters["triton_final_response"].bool_param
    assert response.parameters["energy_joules"].double_param == 0.5
    assert len(response.raw_output_contents[0]) == 1200


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_a_length_is_written_as_protobuf_writes_it(size: int) -> None:
    content = bytes(size)
    whole = ModelInferResponse(raw_output_contents=[content]).SerializeToString()
    assert length_of(RAW_OUTPUT, size) + content == whole
