"""The native API of a model that takes texts, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from joulebox.package.manifest import TextPreprocess
from joulebox.preprocess.text import token_ids
from servers import serving

TEXT = "Nice flight, thanks! 😀 https://a.b/c"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("texts")
    tiny.text_package(folder / "text")
    tiny.write_package(folder / "tiny", tiny.fields(), tiny.files(), {})
    with serving(folder / "text", folder / "tiny") as found:
        yield found


@pytest.fixture
def url(address: str) -> str:
    return f"{address}/models/text/predict"


def counts(text: str, tiny: Any) -> list[int]:
    """The logits that the model has to give."""
    (ids,) = token_ids([text], TextPreprocess.model_validate(tiny.TEXT["preprocess"]))
    return np.bincount(ids[ids > 0] % 3, minlength=3).tolist()


def refused(answer: httpx.Response, said: str, status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]


def test_a_text_is_classified_in_each_of_the_forms_that_a_client_may_send(url: str, tiny: Any) -> None:
    expected = counts(TEXT, tiny)
    plain = {"content-type": "text/plain; charset=UTF-8"}
    answers = [
        httpx.post(url, json={"text": TEXT}),
        httpx.post(url, content=TEXT.encode(), headers=plain),
        httpx.post(url, content=TEXT.encode(), headers={"content-type": "text/plain"}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        content = answer.json()
        assert content["label"] == tiny.LABELS[int(np.argmax(expected))]
        assert content["top"] == answers[0].json()["top"]
        assert content["model"] == "text"
        assert content["latency_ms"] > 0


def test_several_are_one_batch_and_answered_in_their_order(url: str) -> None:
    texts = [TEXT, "", "no", "\x00"]
    single = [httpx.post(url, json={"text": text}).json() for text in texts]
    answer = httpx.post(url, json={"texts": texts}).json()
    assert answer["predictions"] == [{key: one[key] for key in ("label", "confidence", "top")} for one in single]
    assert len(httpx.post(url, json={"texts": ["one"]}).json()["predictions"]) == 1


def test_tensors_go_past_the_words(url: str) -> None:
    answer = httpx.post(url, json={"inputs": {"ids": [[3, 3, 1, 0, 0, 0]]}}).json()
    assert answer["outputs"]["logits"] == [[2.0, 1.0, 0.0]]


def test_many_long_texts_are_one_answer(url: str) -> None:
    assert len(httpx.post(url, json={"texts": [TEXT * 1000] * 256}, timeout=30).json()["predictions"]) == 256


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"json": {"text": 5}}, "the text is int; expected a string"),
        ({"json": {"texts": ["a", None]}}, "text 1 of 2 is NoneType; expected a string"),
        ({"json": {"texts": []}}, "0 texts; expected 1 to 256"),
        ({"json": {"texts": ["a"] * 257}}, "257 texts; expected 1 to 256"),
        ({"json": {"text": "a", "more": 1}}, "has the keys ['more', 'text']; expected one of"),
        ({"json": {"image": "a"}}, "model 'text' takes texts, no images; send JSON {\"text\": string}"),
        ({"content": b"plain"}, "takes texts, no images"),
        ({"content": b"ab\xff", "headers": {"content-type": "text/plain"}}, "not UTF-8: byte 2 is 0xff"),
        ({"content": b"ab", "headers": {"content-type": "text/plain; charset=latin-1"}}, "the text is in 'latin-1'; expected"),
        (
            {"content": b'{"text": "\\ud800"}', "headers": {"content-type": "application/json"}},
            "the body is not JSON",
        ),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_refused(url: str, sent: dict[str, Any], said: str) -> None:
    refused(httpx.post(url, **sent), said)


def test_a_text_that_is_too_long_is_refused(url: str) -> None:
    refused(httpx.post(url, json={"text": "a" * 1_000_001}), "1,000,001 characters; at most 1,000,000", 413)
    assert httpx.post(url, json={"text": "a" * 1_000_000}).status_code == 200


def test_a_text_to_a_model_of_images_is_refused(address: str) -> None:
    for sent in ({"json": {"text": "a"}}, {"content": b"a", "headers": {"content-type": "text/plain"}}):
        refused(httpx.post(f"{address}/models/tiny/predict", **sent), "model 'tiny' takes images, no texts")
