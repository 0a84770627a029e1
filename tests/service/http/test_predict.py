"""The native API over real HTTP: the same image in each of the forms that a client may send, and what else it takes."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from servers import serving

PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FILE = encoded(Image.fromarray(PIXELS))
OTHER = encoded(Image.fromarray(PIXELS.T.copy() // 2))
TEXT = base64.b64encode(FILE).decode()


def check(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["label"] == "blue"
    assert [score["label"] for score in content["top"]] == ["blue", "red"]
    assert content["confidence"] == content["top"][0]["confidence"]
    check_served(content)


def check_served(content: dict[str, Any], model: str = "tiny") -> None:
    assert content["model"] == model
    assert content["engine"] == "onnxruntime"
    assert content["latency_ms"] > 0
    assert content["energy"]["source"] == "estimated"
    assert content["energy"]["joules"] > 0
    assert content["energy"]["provisional"] is True


def refused(answer: httpx.Response, said: str, status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert said in answer.json()["error"]


@pytest.mark.parametrize("path", ["/predict", "/models/tiny/predict"])
def test_an_image_as_the_body(server: str, path: str) -> None:
    check(httpx.post(server + path, content=FILE, headers={"content-type": "image/png"}))
    check(httpx.post(server + path, content=FILE, headers={"content-type": "application/octet-stream"}))
    check(httpx.post(server + path, content=FILE))


@pytest.mark.parametrize("field", ["image", "file"])
def test_an_image_in_a_form(server: str, field: str) -> None:
    check(httpx.post(f"{server}/predict", files={field: ("a.png", FILE, "image/png")}, data={"note": "mine"}))


def test_the_answer_says_where_the_time_went(server: str) -> None:
    answer = httpx.post(f"{server}/predict", content=FILE)
    assert [part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")] == [
        "queue",
        "compute",
        "total",
    ]


def test_an_image_in_json(server: str) -> None:
    check(httpx.post(f"{server}/predict", json={"image": TEXT}))
    check(httpx.post(f"{server}/predict", json={"image": PIXELS.tolist()}))


def test_a_large_file_and_a_small_file_of_a_large_image_are_decoded_beside_the_loop(server: str) -> None:
    noise = np.random.default_rng(0).integers(-1, 2, (400, 400)) + np.kron(PIXELS.astype(int), np.ones((100, 100), int))
    large = encoded(Image.fromarray(noise.clip(0, 255).astype(np.uint8)))
    assert len(large) > 32 * 1024
    check(httpx.post(f"{server}/predict", content=large))
    check(httpx.post(f"{server}/predict", json={"image": base64.b64encode(large).decode()}))
    check(httpx.post(f"{server}/predict", content=encoded(Image.fromarray(PIXELS).resize((4000, 4000), 0))))


SEVERAL: list[dict[str, Any]] = [
    {"files": [("image", ("a", FILE)), ("image", ("b", OTHER))]},
    {"files": [("images", ("a", FILE)), ("images", ("b", OTHER))]},
    {"json": {"images": [TEXT, base64.b64encode(OTHER).decode()]}},
    {"json": {"images": [PIXELS.tolist(), base64.b64encode(OTHER).decode()]}},
]


@pytest.mark.parametrize("sent", SEVERAL)
def test_several_images_are_one_batch_and_answered_in_their_order(server: str, sent: dict[str, Any]) -> None:
    single = [httpx.post(f"{server}/predict", content=file).json() for file in (FILE, OTHER)]
    answer = httpx.post(f"{server}/predict", **sent).json()
    assert answer["predictions"] == [{key: one[key] for key in ("label", "confidence", "top")} for one in single]
    assert "label" not in answer
    check_served(answer)


def test_a_list_of_one_is_answered_with_a_list_of_one(server: str) -> None:
    assert len(httpx.post(f"{server}/predict", json={"images": [TEXT]}).json()["predictions"]) == 1
    assert len(httpx.post(f"{server}/predict", files={"images": ("a", FILE)}).json()["predictions"]) == 1


def test_the_number_of_images_is_bounded(server: str) -> None:
    assert len(httpx.post(f"{server}/predict", json={"images": [TEXT] * 64}).json()["predictions"]) == 64
    refused(httpx.post(f"{server}/predict", json={"images": [TEXT] * 65}), "65 images; expected 1 to 64")
    refused(httpx.post(f"{server}/predict", json={"images": []}), "0 images; expected 1 to 64")
    refused(httpx.post(f"{server}/predict", files=[("image", ("a", FILE))] * 65), "65 images; expected 1 to 64")


def test_their_pixels_are_bounded_together(server: str) -> None:
    large = base64.b64encode(encoded(Image.new("1", (4_000, 4_000)))).decode()
    refused(httpx.post(f"{server}/predict", json={"images": [large] * 4}), "64,000,000 pixels; at most 50,000,000")


def test_of_several_the_wrong_one_is_named(server: str) -> None:
    refused(httpx.post(f"{server}/predict", json={"images": [TEXT, TEXT, "%%%"]}), "image 2 of 3: image is no base64")


@pytest.mark.parametrize(
    ("top", "labels"), [(1, ["blue"]), (3, ["blue", "red", "green"]), (500, ["blue", "red", "green"])]
)
def test_top_says_how_many_classes(server: str, top: int, labels: list[str]) -> None:
    content = httpx.post(f"{server}/predict?top={top}", content=FILE).json()
    assert [score["label"] for score in content["top"]] == labels
    if top >= 3:
        assert sum(score["confidence"] for score in content["top"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "query", ["top=0", "top=-1", "top=x", "top=", "top=1.5", "top=9999999", "top=1&top=2", "top=%C2%B2"]
)
def test_a_top_that_is_no_count_is_refused(server: str, query: str) -> None:
    refused(httpx.post(f"{server}/predict?{query}", content=FILE), "expected")


@pytest.mark.parametrize("milliseconds", ["0", "-5", "soon", "nan", "inf", "86400001"])
def test_a_timeout_that_is_none_is_refused(server: str, milliseconds: str) -> None:
    answer = httpx.post(f"{server}/predict", content=FILE, headers={"x-request-timeout-ms": milliseconds})
    refused(answer, "X-Request-Timeout-Ms is")


def test_a_request_in_time_is_answered_and_one_too_late_is_not(server: str) -> None:
    large = encoded(Image.new("1", (7_000, 7_000)))
    check(httpx.post(f"{server}/predict", content=FILE, headers={"x-request-timeout-ms": "20000"}))
    answer = httpx.post(f"{server}/predict", content=large, headers={"x-request-timeout-ms": "1"})
    refused(answer, "Request timeout expired", 503)


def test_an_inference_is_not_held_up_while_a_large_image_is_decoded(server: str) -> None:
    large = encoded(Image.new("L", (7_000, 7_000)))
    with ThreadPoolExecutor() as pool, httpx.Client() as client:
        decoding = pool.submit(httpx.post, f"{server}/predict", content=large, timeout=30)
        times: list[float] = []
        while not decoding.done():
            began = time.perf_counter()
            check(client.post(f"{server}/predict", content=FILE))
            times.append(time.perf_counter() - began)
        assert decoding.result().status_code == 200
    assert len(times) > 5, "answers come while it lasts"


@pytest.mark.parametrize(
    ("request_arguments", "said"),
    [
        ({"content": b""}, "empty"),
        ({"content": b"hello, I am no image"}, "no readable image"),
        ({"content": FILE[:40]}, "no readable image"),
        ({"content": b'{"image": ""}'}, "content-type: application/json"),
        ({"files": {"a": ("a", FILE), "b": ("b", FILE)}}, "expected one named 'image'"),
        ({"files": {"image": ("a", b"")}}, "empty"),
        ({"data": {"image": "text"}}, "no readable image"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "form cannot be read"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary=b"}}, "form cannot be read"),
        ({"content": FILE, "headers": {"content-type": "application/json"}}, "not JSON"),
        ({"json": [TEXT]}, "JSON list; expected one of"),
        ({"json": {}}, "keys []; expected one of"),
        ({"json": {"imgae": TEXT}}, "keys ['imgae']; expected one of"),
        ({"json": {"image": TEXT, "top": 3}}, "keys ['image', 'top']; expected one of"),
        ({"json": {"images": TEXT}}, "expected one of"),
        ({"json": {"image": "%%%"}}, "no base64"),
        ({"json": {"image": "Jäger"}}, "no base64"),
        ({"json": {"image": ""}}, "empty"),
        ({"json": {"image": 3}}, "expected base64"),
        ({"json": {"image": None}}, "expected base64"),
        ({"json": {"image": [[1, 2]]}}, "expected [4, 4, 1]"),
        ({"json": {"image": [[256] * 4] * 4}}, "numbers from 0 to 255"),
        ({"json": {"image": [[-1] * 4] * 4}}, "numbers from 0 to 255"),
        ({"json": {"image": [["1"] * 4] * 4}}, "numbers from 0 to 255"),
        ({"json": {"image": [[1], [1, 2]]}}, "different lengths"),
        ({"json": {"image": []}}, "expected [4, 4, 1]"),
        ({"json": {"inputs": {}}}, "takes ['image']"),
        ({"json": {"inputs": {"image": [[1]], "more": 1}}}, "takes ['image']"),
        ({"json": {"inputs": {"image": [[1.0]]}}}, "image"),
        ({"json": {"inputs": {"image": None}}}, "image"),
        ({"json": {"inputs": {"image": np.full((1, 1, 4, 4), 3e38).tolist()}}}, "no finite answer"),
    ],
)
def test_what_is_not_taken_is_refused_and_the_server_goes_on(
    server: str, request_arguments: dict[str, Any], said: str
) -> None:
    refused(httpx.post(f"{server}/predict", **request_arguments), said)
    check(httpx.post(f"{server}/predict", content=FILE))


def test_nesting_without_end_is_refused(server: str) -> None:
    for key in ("image", "images", "inputs"):
        content = f'{{"{key}": {"[" * 900}{"]" * 900}}}'.encode()
        answer = httpx.post(f"{server}/predict", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert len(answer.text) < 1000


def test_tensors_go_past_the_preprocessing_and_are_answered_with_tensors_too(server: str) -> None:
    normalised = (PIXELS / 255 - 0.5) / 0.25
    answer = httpx.post(f"{server}/predict", json={"inputs": {"image": [[normalised.tolist()]] * 2}}).json()
    expected = np.add.reduceat(normalised.ravel()[np.argsort(np.arange(16) % 3, kind="stable")], [0, 6, 11])
    np.testing.assert_allclose(answer["outputs"]["logits"], [expected, expected], rtol=1e-5)
    image = httpx.post(f"{server}/predict", content=FILE).json()
    assert answer["predictions"] == [{key: image[key] for key in ("label", "confidence", "top")}] * 2
    check_served(answer)


def test_another_method_is_refused(server: str) -> None:
    answer = httpx.get(f"{server}/predict")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Iterator[str]:
    """A server of models that take no images, or do not classify."""
    folder = tmp_path_factory.mktemp("many")
    for name, changes in (
        ("embed", {"postprocess": None, "labels": []}),
        ("series", {"preprocess": None}),
        ("middle", {"preprocess": {**tiny.fields()["preprocess"], "resize": "crop"}}),
    ):
        tiny.write_package(folder / name, tiny.fields(name=name, **changes), tiny.files(), {})
    tiny.state_package(folder / "state")
    tiny.strings_package(folder / "strings")
    with serving(*sorted(folder.iterdir())) as address:
        yield address


def test_where_there_are_several_models_one_has_to_be_named(many: str) -> None:
    refused(httpx.post(f"{many}/predict", content=FILE), "use /models/NAME/predict", 404)
    refused(httpx.post(f"{many}/models/nobody/predict", content=FILE), "unknown model: 'nobody'", 404)


def test_a_model_that_does_not_classify_answers_an_image_with_its_outputs(many: str) -> None:
    content = httpx.post(f"{many}/models/embed/predict", content=FILE).json()
    assert np.shape(content["outputs"]["logits"]) == (1, 3)
    assert content["predictions"] is None
    check_served(content, "embed")


def test_a_model_without_image_preprocessing_classifies_tensors_and_refuses_images(many: str) -> None:
    content = httpx.post(f"{many}/models/series/predict?top=1", json={"inputs": {"image": [[PIXELS.tolist()]]}}).json()
    assert content["predictions"][0]["label"] == "red"
    assert content["outputs"]["logits"] == [[675.0, 525.0, 600.0]]
    refused(httpx.post(f"{many}/models/series/predict", content=FILE), "takes no images; send JSON")


def test_strings_and_several_inputs(many: str) -> None:
    inputs = {"text": ["red", "Jäger"], "suffix": ["", "–Σ"]}
    content = httpx.post(f"{many}/models/strings/predict", json={"inputs": inputs}).json()
    assert content["outputs"] == {"joined": ["red", "Jäger–Σ"], "id": [0, -1]}
    inputs["suffix"].pop()
    refused(httpx.post(f"{many}/models/strings/predict", json={"inputs": inputs}), "different batch sizes")


def test_a_model_without_a_batch_and_a_number_in_place_of_a_tensor(many: str) -> None:
    inputs = {"input": [[0.5] * 6], "state": np.zeros((2, 1, 4)).tolist(), "sr": 16000}
    answer = httpx.post(f"{many}/models/state/predict", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"]["output"] == [[pytest.approx(1 / (1 + np.exp(-0.5)))]]
    assert np.shape(answer.json()["outputs"]["stateN"]) == (2, 1, 4)


def test_the_manifest_says_how_an_image_is_resized(many: str) -> None:
    wide = np.concatenate([np.zeros((4, 2), np.uint8), PIXELS, np.zeros((4, 2), np.uint8)], axis=1)
    middle = httpx.post(f"{many}/models/middle/predict", content=encoded(Image.fromarray(wide))).json()
    alone = httpx.post(f"{many}/models/middle/predict", content=FILE).json()
    assert middle["top"] == alone["top"]
