"""Requests for inference as bytes: near-valid ones of every kind are read or refused, and nothing else happens."""

from __future__ import annotations

import gc
import json
import math
import tracemalloc
from types import SimpleNamespace
from typing import Any, cast
from weakref import ref

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulebox.engine.datatypes import NUMPY
from joulebox.http.codec import KEPT_BYTES_MAX, KEPT_MAX, Codec
from joulebox.oip.call import Answer, Call
from joulebox.package.manifest import TensorSpec
from joulebox.runtime.errors import BadRequest, ServeError
from joulebox.runtime.regions import Regions

DATATYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]
BYTES_MAX = 2**20


def codec(*inputs: tuple[str, str, list[int]], batched: bool = True, shared: bool = False) -> Codec:
    def specs(tensors: Any) -> list[TensorSpec]:
        return [TensorSpec(name=name, datatype=datatype, shape=shape) for name, datatype, shape in tensors]

    outputs = specs([("out", "FP32", [-1, 3]), ("text", "BYTES", [-1])])
    manifest = SimpleNamespace(inputs=specs(inputs), outputs=outputs, batched=batched, labels=[])
    model = SimpleNamespace(name="m", version="v", package=SimpleNamespace(manifest=manifest))
    return Codec(cast("Any", model), Regions(enabled=shared))


IMAGE = ("image", "FP32", [-1, 2, 2])
PAIR = (("ids", "INT64", [-1, -1]), ("text", "BYTES", [-1]))
CODECS = [codec(IMAGE), codec(*PAIR), codec(*PAIR, shared=True), codec(("rank0", "INT64", []), batched=False)]

# a grammar of requests that are nearly right: each place may hold what belongs there or something else

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([[], {}, [[]], {"a": 1}, [None], 2**40, -1, 1e308, "x" * 300]),
)
numbers = st.one_of(
    st.integers(-3, 300), st.floats(allow_nan=False, width=32), st.sampled_from([2**63, -(2**64), 1e39])
)
data = st.recursive(
    numbers | st.text(max_size=4) | st.booleans(), lambda part: st.lists(part, max_size=5), max_leaves=20
)


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(right, right, right, odd)


def entries(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


sizes = st.sampled_from([0, 1, 2, 4, 16, 32, 2**31, 2**62, -1])
parameters = entries(
    binary_data_size=mostly(sizes),
    binary_data=mostly(st.booleans()),
    binary_data_output=mostly(st.booleans()),
    classification=mostly(sizes),
    timeout=mostly(sizes),
    shared_memory_region=mostly(st.just("region")),
    shared_memory_offset=mostly(sizes),
    shared_memory_byte_size=mostly(sizes),
    unknown=odd,
)
shapes = st.lists(st.sampled_from([1, 2, 0, 4, -1, 2**33]) | odd, max_size=4) | st.sampled_from(
    [[1, 2, 2], [1], [1, 1], []]
)
inputs = entries(
    name=mostly(st.sampled_from(["image", "ids", "text", "rank0"])),
    datatype=mostly(st.sampled_from(["FP32", "INT64", "BYTES"])),
    shape=mostly(shapes),
    data=mostly(st.lists(data, max_size=6)),
    parameters=mostly(parameters),
)
outputs = entries(name=mostly(st.sampled_from(["out", "text"])), parameters=mostly(parameters))
requests = entries(
    id=mostly(st.text(max_size=5)),
    inputs=mostly(st.lists(mostly(inputs), max_size=3)),
    outputs=mostly(st.lists(mostly(outputs), max_size=3)),
    parameters=mostly(parameters),
)


def refused_or_read(one: Codec, body: bytes, header_bytes: int | None) -> Call | None:
    """The call, or None where it was refused as a client's fault; any other error is the test's."""
    try:
        return one.decode(body, header_bytes)
    except ServeError as error:
        refusal = error
    assert refusal.status in {400, 404, 501}, refusal
    assert len(str(refusal)) < 2000
    return None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=requests, tail=st.binary(max_size=40), lie=st.integers(-3, 3), which=st.integers(0, len(CODECS) - 1))
def test_nearly_right_requests_are_read_or_refused(content: Any, tail: bytes, lie: int, which: int) -> None:
    head = json.dumps(content).encode()  # which writes NaN and Infinity too
    refused_or_read(CODECS[which], head, None)
    refused_or_read(CODECS[which], head + tail, max(0, len(head) + lie))
    refused_or_read(CODECS[which], head + tail, len(head))
    refused_or_read(CODECS[which], tail, 0)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=80), header_bytes=st.none() | st.integers(0, 10**18))
def test_noise_is_refused(body: bytes, header_bytes: int | None) -> None:
    for one in CODECS:
        refused_or_read(one, body, header_bytes)


def body_of(shape: list[int], size: int, *, name: str = "image", datatype: str = "FP32", **more: Any) -> bytes:
    tensor = {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [tensor], **more}).encode()


@settings(max_examples=60, deadline=None)
@given(items=st.integers(1, 5), cut=st.integers(-20, 20), declared=st.integers(-20, 20))
def test_raw_tensors_are_as_long_as_they_say_and_as_their_shape_says(items: int, cut: int, declared: int) -> None:
    size = 16 * items
    head = body_of([items, 2, 2], max(0, size + declared))
    call = refused_or_read(CODECS[0], head + bytes(max(0, size + cut)), len(head))
    assert (call is not None) == (cut == declared == 0)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"inputs":' * 50_000,
        b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1,2,2], "data": '
        + b"[" * 900
        + b"]" * 900
        + b"}]}",
        b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": ' + b"[" * 900 + b"]" * 900 + b"}]}",
        b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1,2,2], "data": [NaN,0,0,0]}]}',
        b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1,2,2], "data": [1e999,0,0,0]}]}',
        b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1,2,2], "data": [1' + b"0" * 5000 + b",0,0,0]}]}",
        b'{"inputs": [{"name": "image\\ud800"}]}',
        b'\xff{"inputs": []}',
        b"\xef\xbb\xbf{}",
        b"null",
    ],
)
def test_malformed_json_is_refused(body: bytes) -> None:
    for header_bytes in (None, len(body)):
        assert refused_or_read(CODECS[0], body, header_bytes) is None


@pytest.mark.parametrize(
    "values",
    [
        ["x" * 200_000, *[1] * 100_000],
        [["x" * 200_000], *[[1]] * 50_000],
        [1] * 100_000 + [{}],
        [[1] * 300] * 300,
        [[]] * 100_000,
        [None] * 100_000,
        [10**30] * 10_000,
        ["ab"] * 100_000,
    ],
)
def test_what_is_made_of_a_body_is_not_much_more_than_the_body(values: list[Any]) -> None:
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": values}
    body = json.dumps({"inputs": [tensor]}).encode()
    tracemalloc.start()
    try:
        assert refused_or_read(CODECS[0], body, None) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(body) + 2**20


@pytest.mark.parametrize(
    "values", [[1, 2, 3, "4"], ["1", 2, 3, 4], [[[1.0, "2"], [3.0, 4.0]]], [1, 2, 3, None], [1, 2, 3, {}]]
)
def test_numbers_are_not_read_from_what_is_none(values: list[Any]) -> None:
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": values}
    assert refused_or_read(CODECS[0], json.dumps({"inputs": [tensor]}).encode(), None) is None


@pytest.mark.parametrize("shape", [[2**31, 2, 2], [2**62, 2, 2], [10**30, 2, 2], [1, 2**33, 2]])
def test_a_shape_that_lies_makes_no_room(shape: list[int]) -> None:
    tracemalloc.start()
    try:
        for size in (0, 16, 2**61):
            head = body_of(shape, size)
            assert refused_or_read(CODECS[0], head + bytes(16), len(head)) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BYTES_MAX


def test_an_input_given_twice_is_refused_however_it_comes() -> None:
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "FP32"}
    raw = {**tensor, "parameters": {"binary_data_size": 16}}
    flat = {**tensor, "data": [1, 2, 3, 4]}
    for pair in ([raw, raw], [raw, flat], [flat, raw], [flat, flat]):
        head = json.dumps({"inputs": pair}).encode()
        body = head + bytes(16 * sum(each is raw for each in pair))
        assert refused_or_read(CODECS[0], body, len(head)) is None


@settings(max_examples=100, deadline=None)
@given(
    datatype=st.sampled_from(DATATYPES),
    seed=st.integers(0, 2**32 - 1),
    items=st.integers(1, 4),
    nested=st.booleans(),
    identifier=st.text(max_size=10),
)
def test_a_tensor_is_read_as_it_was_written(
    datatype: Any, seed: int, items: int, nested: bool, identifier: str
) -> None:
    one, dtype = codec(("x", datatype, [-1, 3]), batched=True), NUMPY[datatype]
    random = np.random.default_rng(seed)
    array = (random.random((items, 3)) * 2).astype(dtype) if dtype.kind in "bf" else None
    if array is None:
        limits = np.iinfo(dtype)
        array = random.integers(limits.min, limits.max, (items, 3), dtype, endpoint=True)
    tensor = {"name": "x", "shape": [items, 3], "datatype": datatype}
    head = json.dumps(
        {"id": identifier, "inputs": [{**tensor, "parameters": {"binary_data_size": array.nbytes}}]}
    ).encode()
    for _ in range(2):  # also from the header that was kept
        call = one.decode(head + array.tobytes(), len(head))
        assert call.id == identifier
        assert call.inputs["x"].dtype == dtype
        np.testing.assert_array_equal(call.inputs["x"], array)
    values = array.astype(np.float64).tolist() if dtype.kind == "f" else array.tolist()
    flat = values if nested else [value for row in values for value in row]
    call = one.decode(json.dumps({"inputs": [{**tensor, "data": flat}]}).encode(), None)
    np.testing.assert_array_equal(call.inputs["x"], array)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(max_size=6), min_size=1, max_size=5), cut=st.integers(0, 3))
def test_strings_are_read_as_they_were_written_and_truncated_ones_are_refused(texts: list[str], cut: int) -> None:
    one = codec(("text", "BYTES", [-1]))
    raw = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)
    raw = raw[: len(raw) - cut]
    head = body_of([len(texts)], len(raw), name="text", datatype="BYTES")
    call = refused_or_read(one, head + raw, len(head))
    assert (None if call is None else call.inputs["text"].tolist()) == (None if cut else texts)


def test_raw_requests_are_one_item_where_a_second_dimension_is_free() -> None:
    floats = np.arange(8, dtype=np.float32)
    np.testing.assert_array_equal(CODECS[0].decode(floats.tobytes(), 0).inputs["image"], floats.reshape(2, 2, 2))
    assert refused_or_read(CODECS[0], floats.tobytes()[:-1], 0) is None
    assert refused_or_read(CODECS[0], b"", 0) is None
    ids = codec(("ids", "INT64", [-1, -1])).decode(np.arange(5).tobytes(), 0)
    assert ids.inputs["ids"].tolist() == [[0, 1, 2, 3, 4]]
    text = codec(("text", "BYTES", [-1])).decode("Jäger".encode(), 0)
    assert text.inputs["text"].tolist() == ["Jäger"]
    assert all(output.binary for output in text.outputs)
    assert CODECS[3].decode(np.int64(7).tobytes(), 0).inputs["rank0"] == 7
    with pytest.raises(BadRequest, match="a raw request needs a model with one input"):
        CODECS[1].decode(bytes(8), 0)


def test_kept_headers_are_few_and_never_stand_for_another() -> None:
    one = codec(IMAGE)
    for number in range(3 * KEPT_MAX):
        items = number % 3 + 1
        head = body_of([items, 2, 2], 16 * items, id=f"r{number}", parameters={"timeout": number + 1})
        for _ in range(2):
            call = one.decode(head + np.full(4 * items, number, np.float32).tobytes(), len(head))
            assert call.id == f"r{number}"
            assert call.timeout_s == (number + 1) / 1e6
            assert call.inputs["image"].shape == (items, 2, 2)
            assert (call.inputs["image"] == number).all()
        assert len(one._kept) <= KEPT_MAX
    long = body_of([1, 2, 2], 16, id="x" * 1000, parameters={"unknown": "y" * KEPT_BYTES_MAX})
    assert one.decode(long + bytes(16), len(long)).id == "x" * 1000
    assert long not in one._kept


def test_a_header_that_points_to_shared_memory_is_not_kept() -> None:
    one = codec(IMAGE, shared=True)
    slot = {"shared_memory_region": "r", "shared_memory_byte_size": 12}
    head = body_of([1, 2, 2], 16, outputs=[{"name": "out", "parameters": slot}])
    assert refused_or_read(one, head + bytes(16), len(head)) is None
    assert one._kept == {}


def test_a_codec_does_not_keep_its_model() -> None:
    """Codecs are kept by their model, and would keep every version that was ever served."""
    model = type(
        "Served", (), {"name": "m", "version": "v", "package": SimpleNamespace(manifest=CODECS[0]._manifest)}
    )()
    kept, seen = Codec(cast("Any", model), Regions(enabled=False)), ref(model)
    del model
    gc.collect()
    assert seen() is None
    assert refused_or_read(kept, b"{}", None) is None


@pytest.mark.parametrize("binary", [False, True])
def test_answers_are_json_then_tensors_in_order(binary: bool) -> None:
    one = codec(IMAGE)
    content = {"id": "a", "inputs": [{"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    content["parameters"] = {"binary_data_output": binary}
    call = one.decode(orjson.dumps(content), None)
    arrays = {"out": np.array([[0.5, 1, 2]], np.float32), "text": np.array(["Σ"], dtype=object)}
    tensors = [(output, output.spec.datatype, arrays[output.spec.name]) for output in call.outputs]
    body, header_bytes = one.encode(call, cast("Answer", SimpleNamespace(tensors=tensors)), None)
    head = orjson.loads(body[:header_bytes])
    assert (head["id"], head["model_name"], head["model_version"]) == ("a", "m", "v")
    assert [(entry["name"], entry["shape"]) for entry in head["outputs"]] == [("out", [1, 3]), ("text", [1])]
    if binary:
        assert body[header_bytes:] == arrays["out"].tobytes() + b"\x02\0\0\0" + "Σ".encode()
        assert [entry["parameters"]["binary_data_size"] for entry in head["outputs"]] == [12, 6]
    else:
        assert header_bytes is None
        assert [entry["data"] for entry in head["outputs"]] == [[0.5, 1.0, 2.0], ["Σ"]]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_output_that_json_cannot_say_is_refused_as_json_alone(value: float) -> None:
    one = codec(IMAGE)
    arrays = {"out": np.array([[value, 0, 0]], np.float32), "text": np.array([""], dtype=object)}
    for outputs, said in ((one._everything, False), (one._everything_raw, True)):
        tensors = [(output, output.spec.datatype, arrays[output.spec.name]) for output in outputs]
        answer = cast("Answer", SimpleNamespace(tensors=tensors))
        if said:
            assert one.encode(Call("", {}, outputs), answer, None)[1] is not None
        else:
            with pytest.raises(BadRequest, match="binary_data"):
                one.encode(Call("", {}, outputs), answer, None)
