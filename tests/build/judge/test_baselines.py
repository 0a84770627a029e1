"""Simpler methods answer as ONNX what scikit-learn answers, the same on each run, and only on data that they suit."""

import numpy as np
import pytest

from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import DataError, RecipeError
from joulebox_build.graph.inference import outputs
from joulebox_build.judge import boosting, linear
from joulebox_build.judge.baseline import check_memory, suitable
from joulebox_build.judge.tfidf import TfIdf
from joulebox_build.recipe import Baseline

GIVEN = ModelInput("image", "FP32", (1, 3, 2), np.asarray)


def test_one_that_would_hold_more_memory_than_there_is_is_refused_by_how_much() -> None:
    large = ModelInput("image", "FP32", (3, 1024, 1024), np.asarray)
    plain = Baseline(kind="logistic-regression")
    said = r"logistic-regression would hold 24000 MiB of samples, at most 1000 MiB; set its samples to 20 or fewer"
    with pytest.raises(RecipeError, match=said):
        check_memory(plain, 1000, large, 1000)
    with pytest.raises(RecipeError, match="set its samples to"):
        check_memory(plain, 10**9, large, None)
    check_memory(Baseline(kind="logistic-regression", samples=20), 1000, large, 1000)
    check_memory(Baseline(kind="tf-idf"), 10**9, large, 1)


def samples(classes: int, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Values of few digits, so that many lie right at a threshold."""
    random = np.random.default_rng(0)
    inputs = random.integers(0, 9, (count, 1, 3, 2)).astype(np.float32) / np.float32(10)
    labels = (inputs[:, 0, 0, 0] * 10).round().astype(np.int64) * classes // 9
    return inputs, labels


@pytest.mark.parametrize("classes", [2, 4])
def test_boosted_trees_answer_as_onnx_what_scikit_learn_answers(classes: int) -> None:
    inputs, labels = samples(classes)
    model = boosting.fit_boosting(inputs, labels, iterations=8)
    logits = outputs(boosting.to_onnx(model, GIVEN), inputs)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert logits.shape == (len(inputs), classes)
    np.testing.assert_allclose(chances, model.predict_proba(inputs.reshape(len(inputs), -1)), atol=1e-5)
    assert boosting.parameters(model) > classes
    assert (logits.argmax(1) == labels).mean() > 0.9


def test_boosting_twice_gives_the_same_bytes() -> None:
    inputs, labels = samples(3)
    made = [boosting.to_onnx(boosting.fit_boosting(inputs, labels, iterations=3), GIVEN) for _ in range(2)]
    assert made[0] == made[1]


def test_a_linear_model_learns_whatever_the_scales_of_its_columns() -> None:
    """An income, an age, a share, and a column that says nothing, of which each real one matters as much."""
    random = np.random.default_rng(0)
    plain = random.normal(size=(2000, 3))
    labels = (plain.sum(1) + random.normal(size=2000) / 2 > 0).astype(np.int64)
    columns = plain * [20_000, 10, 0.01] + [50_000, 40, 0.3]
    inputs = np.column_stack([columns, np.full(2000, 7.3)]).astype(np.float32)
    given = ModelInput("input", "FP32", (4,), np.asarray)
    found = linear.fit_logistic_regression(inputs[:1400], labels[:1400], iterations=100)
    right = outputs(linear.to_onnx(found, given), inputs[1400:]).argmax(1) == labels[1400:]
    assert right.mean() > 0.85
    assert found.converged
    assert (found.weights[3] == 0).all()


def test_a_linear_model_answers_the_same_in_other_units() -> None:
    inputs, labels = samples(4)
    logits = [
        outputs(linear.to_onnx(linear.fit_logistic_regression(each, labels, iterations=30), GIVEN), each)
        for each in (inputs, inputs * np.float32(1024) + np.float32(8))
    ]
    np.testing.assert_allclose(*logits, atol=1e-3)


TEXTS = np.asarray(["good film", "bad film", "good plot, good cast", "a bad, bad plot", "good", "bad cast"], object)
FEELING = np.asarray([1, 0, 1, 0, 1, 0])


def test_tfidf_tells_texts_apart_and_is_the_same_from_its_content() -> None:
    counts = TfIdf.fit(TEXTS)
    found = linear.fit_logistic_regression(counts.sparse(TEXTS), FEELING, iterations=50, inverse_penalty=1.0)
    again = TfIdf(counts.content)
    assert (outputs(linear.to_onnx(found, again.given), again.encode(TEXTS)).argmax(1) == FEELING).all()
    assert again.encode(TEXTS).dtype == np.float32
    np.testing.assert_array_equal(again.encode(TEXTS), counts.encode(TEXTS))
    assert TfIdf.fit(TEXTS).content == counts.content


def test_texts_without_a_common_word_are_refused() -> None:
    with pytest.raises(DataError, match="no word in common"):
        TfIdf.fit(np.asarray(["one", "two"], object))


PIXELS = np.zeros((1, 1, 3, 2), np.uint8)
TOKENS = ModelInput("input", "INT64", (8,), np.asarray)


def test_there_is_always_a_baseline() -> None:
    assert [each.kind for each in suitable(None, PIXELS, GIVEN)] == ["logistic-regression"]
    assert [each.kind for each in suitable(None, TEXTS, TOKENS)] == ["tf-idf"]


def test_a_baseline_that_does_not_suit_the_data_is_refused() -> None:
    for inputs, given, kind, message in (
        (PIXELS, GIVEN, "tf-idf", "'tf-idf' is not for numbers; expected logistic-regression or gradient-boosting"),
        (TEXTS, TOKENS, "gradient-boosting", "'gradient-boosting' is not for texts; expected tf-idf"),
        (PIXELS, TOKENS, "logistic-regression", "takes FP32; the student takes INT64"),
    ):
        with pytest.raises(RecipeError, match=message):
            suitable([Baseline.model_validate({"kind": kind})], inputs, given)
