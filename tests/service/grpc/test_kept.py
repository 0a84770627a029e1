"""What is kept of requests never changes how one is read."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.grpc.codec import read_call
from joulebox.grpc.kept import KEPT_MAX, KeptRequests
from joulebox.grpc.messages import ModelInferRequest
from joulebox.oip.call import Call
from joulebox.package import TensorSpec
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.regions import Regions

NO_MEMORY = Regions(enabled=False)
SPECS = [TensorSpec(name=name, datatype=kind, shape=[-1, -1]) for name, kind in (("x", "FP32"), ("y", "INT64"))]


class Served:
    """What the codec looks at of a model."""

    name = "m"
    version = "v"
    package = SimpleNamespace(manifest=SimpleNamespace(inputs=SPECS, outputs=SPECS, batched=True, labels=[]))


MODEL: Any = Served()


def request(rows: int = 1, wide: int = 2, **fields: Any) -> Any:
    asked = ModelInferRequest(model_name="m", **fields)
    for spec, dtype in zip(SPECS, (np.float32, np.int64), strict=True):
        array = np.random.default_rng(rows).normal(size=(rows, wide)).astype(dtype)
        asked.inputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        asked.raw_input_contents.append(array.tobytes())
    return asked


def read(kept: KeptRequests, raw: bytes) -> Call:
    """As the server does it."""
    found = kept.find(raw)
    if found is not None and found.model() is MODEL:
        return found.call(raw)
    asked = ModelInferRequest.FromString(raw)
    call = read_call(MODEL, asked, NO_MEMORY)
    kept.keep(raw, asked, MODEL, call)
    return call


def same(one: Call, other: Call) -> None:
    assert (one.id, one.outputs, one.timeout_s, one.parameters) == (
        other.id,
        other.outputs,
        other.timeout_s,
        other.parameters,
    )
    assert list(one.inputs) == list(other.inputs)
    for name, array in one.inputs.items():
        np.testing.assert_array_equal(array, other.inputs[name])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    asked = request(draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 40])))
    if draw(st.booleans()):
        asked.parameters["timeout"].int64_param = draw(st.sampled_from([1000, 2000]))
        asked.parameters["other"].string_param = "value"
    if draw(st.booleans()):
        asked.outputs.add(name="y").parameters["classification"].int64_param = draw(st.integers(0, 2))
    asked.id = draw(st.sampled_from(["", "", "7"]))
    return asked.SerializeToString()


@given(st.lists(requests(), min_size=1, max_size=12))
def test_a_request_is_read_as_if_nothing_were_kept(raws: list[bytes]) -> None:
    kept = KeptRequests()
    for raw in raws:
        same(read(kept, raw), read(KeptRequests(), raw))


def test_only_the_tensors_of_a_second_request_are_read() -> None:
    kept = KeptRequests()
    first, second = (request().SerializeToString() for _ in range(2))
    changed = second[:-1] + b"\x07"
    read(kept, first)
    found = kept.find(changed)
    assert found is not None
    assert found.call(changed).inputs["y"][0, 1] == int.from_bytes(changed[-8:], "little", signed=True)


@pytest.mark.parametrize("cut", [1, 8, 9, 20])
def test_another_size_is_read_anew(cut: int) -> None:
    kept = KeptRequests()
    raw = request().SerializeToString()
    read(kept, raw)
    assert kept.find(raw[:-cut]) is None
    assert kept.find(raw + b"\0" * cut) is None


def test_tensors_of_other_sizes_behind_the_same_header_are_read_anew() -> None:
    """Both requests have as many bytes; the header says one shape, the raw contents are cut elsewhere."""
    kept = KeptRequests()
    good = request()
    read(kept, good.SerializeToString())
    moved = ModelInferRequest()
    moved.CopyFrom(good)
    x, y = good.raw_input_contents
    moved.raw_input_contents[:] = [x + y[:1], y[1:]]
    raw = moved.SerializeToString()
    assert len(raw) == len(good.SerializeToString())
    assert kept.find(raw) is None
    with pytest.raises(BadRequest, match="unexpected total byte size 9"):
        read(kept, raw)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_request_with_changed_bytes_is_read_as_protobuf_reads_it(at: int, content: bytes) -> None:
    kept = KeptRequests()
    good = request().SerializeToString()
    read(kept, good)
    changed = good[:at] + content + good[at + len(content) :]
    try:
        expected = read(KeptRequests(), changed)
    except Exception as error:  # whatever it is, it has to be the same
        with pytest.raises(type(error)):
            read(kept, changed)
    else:
        same(read(kept, changed), expected)


def test_what_is_kept_is_bounded_and_holds_no_model() -> None:
    kept = KeptRequests()
    for number in range(3 * KEPT_MAX):
        asked = request(1, 1 + number % 50)
        asked.parameters["number"].int64_param = number
        read(kept, asked.SerializeToString())
        assert len(kept._kept) <= KEPT_MAX
        assert len(kept._lengths) <= KEPT_MAX
    gone: Any = Served()
    raw = request(3).SerializeToString()
    kept.keep(
        raw, ModelInferRequest.FromString(raw), gone, read_call(gone, ModelInferRequest.FromString(raw), NO_MEMORY)
    )
    found = kept.find(raw)
    assert found is not None
    assert found.model() is gone
    del gone
    gc.collect()
    assert found.model() is None
