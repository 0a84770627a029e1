"""What becomes of a text: the same numbers everywhere and always, whatever the string."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.package.manifest import TextPreprocess
from joulebox.preprocess.text import token_ids, words


def preprocess(**changes: Any) -> TextPreprocess:
    return TextPreprocess.model_validate({"kind": "text", "buckets": 1000, "length": 16, **changes})


PREPROCESSES = st.builds(
    TextPreprocess,
    kind=st.just("text"),
    buckets=st.integers(1, 2**24),
    length=st.integers(1, 64),
    characters=st.integers(1, 200),
    lowercase=st.booleans(),
    fold=st.lists(st.sampled_from(["urls", "mentions", "numbers"]), unique=True),
    word_ngrams=st.integers(1, 5),
    character_ngrams=st.none() | st.tuples(st.integers(1, 4), st.integers(4, 16)),
)
ANY = st.text(st.characters(), max_size=300) | st.text("@:/.#'0a ’\ud800\x00😀ש\u202eﷺ", max_size=300)
"""Lone surrogates included, which no UTF-8 can say but JSON of some writers can."""


@given(texts=st.lists(ANY, max_size=4), preprocess=PREPROCESSES)
def test_any_string_has_numbers_in_range_then_zeros_and_always_the_same(
    texts: list[str], preprocess: TextPreprocess
) -> None:
    ids = token_ids(texts, preprocess)
    assert ids.dtype == np.int64
    assert ids.shape == (len(texts), preprocess.length)
    assert ids.min(initial=0) >= 0
    assert ids.max(initial=0) <= preprocess.buckets
    assert not np.any((ids[:, :-1] == 0) & (ids[:, 1:] != 0)), "nothing comes after a zero"
    np.testing.assert_array_equal(ids, token_ids(texts, preprocess))


@given(first=ANY, second=ANY, preprocess=PREPROCESSES)
def test_a_text_has_the_same_numbers_whatever_is_beside_it(first: str, second: str, preprocess: TextPreprocess) -> None:
    both = token_ids([first, second], preprocess)
    np.testing.assert_array_equal(both[0], token_ids([first], preprocess)[0])
    np.testing.assert_array_equal(both[1], token_ids([second], preprocess)[0])


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ("Don’t STOP, it's ﬁne!!", {}, ["don't", "stop", ",", "it's", "fine", "!!"]),
        ("Ünïcode ﬁne", {"lowercase": False}, ["Ünïcode", "fine"]),
        ("so good :-) 😀😀", {}, ["so", "good", ":-)", "😀", "😀"]),
        ("see https://a.b/c?d#e now", {"fold": ["urls"]}, ["see", "\ue000", "now"]),
        ("see www.a.b", {}, ["see", "www", ".", "a", ".", "b"]),
        ("@ann 10,000 @bob_2", {"fold": ["mentions", "numbers"]}, ["\ue001", "0", ",", "0", "\ue001"]),
        ("שלום עולם", {}, ["שלום", "עולם"]),
        ("abcdef", {"characters": 3}, ["abc"]),
        ("", {}, []),
        ("\x00 \ud800", {}, ["\x00", "\ud800"]),
    ],
)
def test_words_are_normalised(text: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert words(text, preprocess(**changes)) == expected


def test_the_numbers_are_crc32_of_words_then_of_pairs_then_of_letters() -> None:
    grams = [b"so", b"good", b"so good"]
    letters = [b"<so", b"so>", b"<go", b"goo", b"ood", b"od>"]
    expected = [zlib.crc32(gram) % 1000 + 1 for gram in grams] + [zlib.crc32(gram, 1) % 1000 + 1 for gram in letters]
    found = token_ids(["So good"], preprocess(word_ngrams=2, character_ngrams=[3, 3]))
    assert found[0].tolist() == expected + [0] * 7
    assert found[0, :3].tolist() == [372, 195, 630], "on every machine, and in every version from now on"


def test_what_is_more_than_the_length_is_cut_off() -> None:
    full = token_ids(["a b c d e f"], preprocess(word_ngrams=2))
    np.testing.assert_array_equal(token_ids(["a b c d e f"], preprocess(word_ngrams=2, length=4)), full[:, :4])


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "@" * 10**6, "a'" * 500_000, "😀 " * 500_000, "http://" * 150_000, "ﷺ" * 10**6]
)
def test_of_a_million_characters_the_first_are_read(text: str) -> None:
    folding = preprocess(characters=500, fold=["urls", "mentions", "numbers"], word_ngrams=5, character_ngrams=[3, 5])
    np.testing.assert_array_equal(token_ids([text], folding), token_ids([text[:500]], folding))
