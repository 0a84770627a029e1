"""Requests as the protocol has them, read back byte by byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from joulebox.bench.connection import Address, Answer, parse_address
from joulebox.bench.encode import answer_json, binary_request, error_text, json_request
from joulebox.bench.errors import UsageError
from joulebox.package import TensorSpec

ADDRESS = Address("localhost", 3000, tls=False, headers=(("Authorization", "Bearer x"),))
SPECS = [
    TensorSpec(name="image", datatype="FP32", shape=[-1, 2]),
    TensorSpec(name="half", datatype="FP16", shape=[-1]),
    TensorSpec(name="words", datatype="BYTES", shape=[-1]),
]
TENSORS = {
    "image": np.float32([[1, 2]]),
    "half": np.float16([0.5]),
    "words": np.array(["où"], dtype=object),
}


def parts(request: bytes) -> tuple[dict[str, str], bytes]:
    head, body = request.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v2/models/m/infer HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines), "each header once"
    assert int(fields["Content-Length"]) == len(body)
    assert fields["Host"] == "localhost:3000"
    assert fields["Authorization"] == "Bearer x"
    return fields, body


def test_a_json_request_has_flat_values() -> None:
    _, body = parts(json_request(ADDRESS, "m", SPECS, TENSORS))
    assert orjson.loads(body)["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]},
        {"name": "half", "datatype": "FP16", "shape": [1], "data": [0.5]},
        {"name": "words", "datatype": "BYTES", "shape": [1], "data": ["où"]},
    ]


def test_a_binary_request_has_the_tensors_bytes_after_its_json() -> None:
    fields, body = parts(binary_request(ADDRESS, "m", SPECS, TENSORS))
    length = int(fields["Inference-Header-Content-Length"])
    header = orjson.loads(body[:length])
    assert header["parameters"] == {"binary_data_output": True}
    assert [tensor["parameters"]["binary_data_size"] for tensor in header["inputs"]] == [8, 2, 7]
    assert not any("data" in tensor for tensor in header["inputs"])
    assert body[length:] == TENSORS["image"].tobytes() + TENSORS["half"].tobytes() + b"\x03\x00\x00\x00o\xc3\xb9"


@pytest.mark.parametrize(
    ("header", "body", "content"),
    [
        (b"", b'{"a":1}', {"a": 1}),
        (b"7", b'{"a":1}\x00\x00\x80\x3f', {"a": 1}),
        (b"", b'{"a":1}\x00', {}),
        (b"x", b"[1]", {}),
        (b"", b"", {}),
    ],
)
def test_the_json_of_an_answer_ends_where_its_header_says(header: bytes, body: bytes, content: dict[str, Any]) -> None:
    assert answer_json(Answer("200", 0.0, 0.0, 0.0, b"", header, body)) == content


@pytest.mark.parametrize(
    ("body", "text"),
    [(b'{"error": "too\\nbig"}', "too big"), (b"<p>no</p>", "<p>no</p>"), (b"", "status 500"), (b"x" * 999, "x" * 300)],
)
def test_what_was_wrong_is_one_short_line(body: bytes, text: str) -> None:
    assert error_text(Answer("500", 0.0, 0.0, 0.0, b"", b"", body)) == text


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:3000", Address("127.0.0.1", 3000, tls=False)),
        ("http://127.0.0.1:3000/", Address("127.0.0.1", 3000, tls=False)),
        ("https://example.org", Address("example.org", 443, tls=True)),
        ("http://[::1]:80", Address("::1", 80, tls=False)),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url", ["ftp://x:1", "http://", "http://x:99999", "http://x:1/v2/models", "http://x:1?a=b", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected http://HOST:PORT"):
        parse_address(url)


def test_an_ipv6_host_has_brackets() -> None:
    assert b"Host: [::1]:80\r\n" in Address("::1", 80, tls=False).request("GET", "/")
