"""The Open Inference Protocol over real HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

ONE = {"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": list(range(16))}
SUMS = [45.0, 35.0, 40.0]


def infer(server: str, *inputs: dict[str, Any], **more: Any) -> httpx.Response:
    return httpx.post(f"{server}/v2/models/tiny/infer", json={"inputs": list(inputs), **more})


def test_server_metadata_and_health(server: str) -> None:
    assert httpx.get(f"{server}/v2").json()["name"] == "joulebox"
    assert httpx.get(f"{server}/v2/health/live").json() == {"live": True}
    assert httpx.get(f"{server}/v2/health/ready").json() == {"ready": True}


def test_model_metadata_names_tensors_and_what_serves_them(server: str) -> None:
    metadata = httpx.get(f"{server}/v2/models/tiny").json()
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 4, 4]}]
    assert metadata["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}]
    assert metadata["parameters"]["variant"] == "cpu-fp32"
    (version,) = metadata["versions"]
    assert httpx.get(f"{server}/v2/models/tiny/versions/{version}").json() == metadata
    assert httpx.get(f"{server}/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}


def test_inference_with_flat_data(server: str) -> None:
    response = infer(server, ONE, id="abc")
    answer = response.json()
    assert answer["id"] == "abc"
    assert answer["model_name"] == "tiny"
    assert answer["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [1, 3], "data": SUMS}]
    assert answer["parameters"]["energy_source"] == "estimated"
    assert answer["parameters"]["energy_joules"] > 0
    joules = f"{answer['parameters']['energy_joules']:.4g}"
    assert response.headers["joulebox-energy"] == f"joules={joules};source=estimated;provisional"


def test_inference_with_nested_data_and_a_batch(server: str) -> None:
    image = [[[float(4 * row + column) for column in range(4)] for row in range(4)]]
    answer = infer(server, {**ONE, "shape": [3, 1, 4, 4], "data": [image] * 3}, outputs=[{"name": "logits"}]).json()
    assert answer["outputs"][0]["shape"] == [3, 3]
    assert answer["outputs"][0]["data"] == SUMS * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [1, 1, 4, 5]}, "Expected [-1,1,4,4], got [1,1,4,5]"),
        ({"shape": [1, 16]}, "Expected [-1,1,4,4], got [1,16]"),
        ({"shape": [0, 1, 4, 4], "data": []}, "holds nothing"),
        ({"shape": [10**12, 1, 4, 4]}, "at most"),
        ({"shape": [-1, 1, 4, 4]}, "whole numbers from 0 up"),
        ({"shape": "big"}, "expected a list"),
        ({"shape": [True, 1, 4, 4]}, "whole numbers"),
        ({"datatype": "INT8"}, "data-type is 'INT8', but model 'tiny' expects 'FP32'"),
        ({"datatype": None}, "expects 'FP32'"),
        ({"name": "picture"}, "unexpected inference input 'picture' for model 'tiny'"),
        ({"data": [1, 2]}, "2 values"),
        ({"data": ["a"] * 16}, "not FP32"),
        ({"data": [[1, 2], [3]]}, "ragged"),
        ({"data": [1e39] * 16}, "a value outside FP32"),
        ({"data": None}, "expected a list"),
        ({"data": [True] * 16}, "not FP32"),
    ],
)
def test_a_wrong_tensor_is_refused_with_the_value_and_what_was_expected(
    server: str, change: dict[str, Any], said: str
) -> None:
    answer = infer(server, {**ONE, **change})
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert infer(server, ONE).status_code == 200, "and the server goes on answering"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "parse the request JSON"),
        (b"{", "parse the request JSON"),
        (b"[]", "expected an object"),
        (b"[" * 100_000, "parse the request JSON"),
        (b"{}", "inputs is 'None'"),
        (b'{"inputs": [1]}', "expected a list of objects"),
        (b'{"inputs": []}', "expected 1 inputs but got 0 inputs"),
        (
            b'{"inputs": [{"name": "image", "shape": [1,1,4,4], "datatype": "FP32", "data": [NaN]}]}',
            "parse the request JSON",
        ),
    ],
)
def test_a_body_that_is_no_request_is_refused(server: str, body: bytes, said: str) -> None:
    answer = httpx.post(f"{server}/v2/models/tiny/infer", content=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_an_input_given_twice_and_an_unknown_output_are_refused(server: str) -> None:
    assert "given twice" in infer(server, ONE, ONE).json()["error"]
    assert "unexpected inference output 'x'" in infer(server, ONE, outputs=[{"name": "x"}]).json()["error"]
    assert "expected a list" in infer(server, ONE, outputs={"name": "x"}).json()["error"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/models/none", "Request for unknown model: 'none' is not found; this server has tiny"),
        ("/v2/models/tiny/versions/9", "version '9' is not found"),
        ("/v2/nothing", "is not part of what"),
        ("/etc/passwd", "there is nothing at"),
    ],
)
def test_what_is_not_there_is_404(server: str, path: str, said: str) -> None:
    answer = httpx.get(server + path)
    assert answer.status_code == 404
    assert said in answer.json()["error"]


def test_a_method_that_is_not_the_paths_is_405(server: str) -> None:
    answer = httpx.get(f"{server}/v2/models/tiny/infer")
    assert answer.status_code == 405
    assert "expected POST" in answer.json()["error"]


def test_a_body_over_the_limit_is_refused_unread(server: str) -> None:
    answer = httpx.post(f"{server}/v2/models/tiny/infer", content=b"x" * (16 * 2**20 + 1))
    assert answer.status_code == 413
    assert "at most" in answer.json()["error"]
