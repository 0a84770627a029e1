"""A CSV file of texts: what is written is what is read, whatever is in a text."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulebox_build.data.adapters import read_texts, thinned
from joulebox_build.errors import DataError

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def write(path: Path, texts: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(text, "up" if number % 2 else "down", number % 3) for number, text in enumerate(texts)]
        csv.writer(file).writerows([("body", "mood", "shop"), *rows])
    return path


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(WORDS.filter(str.strip), min_size=20, max_size=30, unique=True))
def test_what_is_written_is_what_is_read(tmp_path: Path, texts: list[str]) -> None:
    data = read_texts(write(tmp_path / "x.csv", texts), text="body", label="mood", slices=["shop"])
    assert data.labels == ("down", "up")
    found = {
        text: (int(label), group)
        for split in data.splits().values()
        for text, label, group in zip(split.inputs, split.labels, split.slices["shop"], strict=True)
    }
    assert found == {text: (number % 2, str(number % 3)) for number, text in enumerate(texts)}


def test_texts_are_in_groups_by_their_length(tmp_path: Path) -> None:
    data = read_texts(
        write(tmp_path / "x.csv", ["x" * (number + 1) for number in range(90)]), text="body", label="mood"
    )
    names, counts = np.unique(data.train.slices["length"], return_counts=True)
    assert names.tolist() == ["long", "medium", "short"]
    assert max(counts) - min(counts) <= 1
    assert all(
        (len(text) < 30) == (group == "short")
        for text, group in zip(data.test.inputs, data.test.slices["length"], strict=True)
        if not 25 < len(text) < 35
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("body,mood\n ,up\n", "row 2, column 'body': the text is empty"),
        ("body,mood\nx,\n", "row 2, column 'mood': the class is empty"),
        ("text,mood\nx,up\n", "has no column 'body'; it has text, mood"),
        ("body,mood\n", "has a header and no rows"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        read_texts(tmp_path / "x.csv", text="body", label="mood")


def test_more_than_memory_should_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulebox_build.data.adapters.texts.CHARACTERS_MAX", 50)
    with pytest.raises(DataError, match="texts of more than 50 characters"):
        read_texts(write(tmp_path / "x.csv", ["some words"] * 20), text="body", label="mood")


def test_a_thinned_text_has_some_of_its_words_in_their_order_and_one_at_least() -> None:
    texts = np.array(["a b c d e f g h", "alone"] * 50, object)
    thin = thinned(texts, np.random.default_rng(0), 0.5)
    assert all(
        text and all(word in whole.split() for word in text.split()) for text, whole in zip(thin, texts, strict=True)
    )
    assert all(text.split() == sorted(text.split()) for text in thin)
    assert 2 < np.mean([len(text.split()) for text in thin[::2]]) < 6
