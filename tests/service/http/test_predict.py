"""The native API over real HTTP: the same image in each of the forms that a client may send."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FILE = encoded(Image.fromarray(PIXELS))


def check(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["label"] == "blue"
    assert [score["label"] for score in content["top"]] == ["blue", "red"]
    assert content["confidence"] == content["top"][0]["confidence"]
    assert content["model"] == "tiny"
    assert content["engine"] == "onnxruntime"
    assert content["latency_ms"] > 0
    assert content["energy"]["source"] == "estimated"
    assert content["energy"]["joules"] > 0
    assert content["energy"]["provisional"] is True


@pytest.mark.parametrize("path", ["/predict", "/models/tiny/predict"])
def test_an_image_as_the_body(server: str, path: str) -> None:
    check(httpx.post(server + path, content=FILE, headers={"content-type": "image/png"}))
    check(httpx.post(server + path, content=FILE))


@pytest.mark.parametrize("field", ["image", "file"])
def test_an_image_in_a_form(server: str, field: str) -> None:
    check(httpx.post(f"{server}/predict", files={field: ("a.png", FILE, "image/png")}))


def test_an_image_in_json(server: str) -> None:
    check(httpx.post(f"{server}/predict", json={"image": base64.b64encode(FILE).decode()}))
    check(httpx.post(f"{server}/predict", json={"image": PIXELS.tolist()}))


def test_colours_sizes_and_orientation_are_brought_to_what_the_model_takes(server: str) -> None:
    image = Image.fromarray(PIXELS)
    check(httpx.post(f"{server}/predict", content=encoded(image.convert("RGBA"))))
    check(httpx.post(f"{server}/predict", content=encoded(image.resize((400, 400), Image.Resampling.NEAREST))))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    check(httpx.post(f"{server}/predict", content=encoded(image.rotate(180), exif=exif)))


@pytest.mark.parametrize(
    ("request_arguments", "said"),
    [
        ({"content": b""}, "empty"),
        ({"content": b"hello, I am no image"}, "no readable image"),
        ({"content": FILE[:40]}, "no readable image"),
        ({"files": {"a": ("a", FILE), "b": ("b", FILE)}}, "expected one named 'image'"),
        ({"data": {"image": "text"}}, "no readable image"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "form cannot be read"),
        ({"json": {"image": "%%%"}}, "no base64"),
        ({"json": {"image": 3}}, "expected base64"),
        ({"json": {}}, "expected base64"),
        ({"json": {"image": [[1, 2]]}}, "expected [4, 4, 1]"),
        ({"json": {"image": [[256] * 4] * 4}}, "numbers from 0 to 255"),
        ({"json": {"image": [[1], [1, 2]]}}, "different lengths"),
        ({"json": {"image": []}}, "expected [4, 4, 1]"),
    ],
)
def test_what_is_no_image_is_refused_and_the_server_goes_on(
    server: str, request_arguments: dict[str, Any], said: str
) -> None:
    answer = httpx.post(f"{server}/predict", **request_arguments)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    check(httpx.post(f"{server}/predict", content=FILE))


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(server: str) -> None:
    bomb = encoded(Image.new("1", (10_000, 10_000)))
    answer = httpx.post(f"{server}/predict", content=bomb)
    assert answer.status_code == 400
    assert "pixels" in answer.json()["error"] or "no readable image" in answer.json()["error"]


def test_another_method_is_refused(server: str) -> None:
    assert httpx.get(f"{server}/predict").status_code == 405


def test_openapi_documents_it(server: str) -> None:
    document = httpx.get(f"{server}/docs.json").json()
    assert "/predict" in document["paths"]
    assert httpx.get(f"{server}/").status_code == 200
