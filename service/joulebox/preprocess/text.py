"""From a text to the numbers of its words and n-grams, by hashing: there is no vocabulary to carry, and none to miss a word."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.package.manifest import Fold, TextPreprocess

WORD = re.compile(r"\w+(?:'\w+)*|[!-/:-@\[-`{-~]+|[^\w\s]")
"""A word with its apostrophes; a run of ASCII punctuation, as emoticons are; or another sign, as an emoji."""
FOLDS: dict[Fold, tuple[re.Pattern[str], str]] = {  # applied in this order; what stands for them is for private use
    "urls": (re.compile(r"https?://\S*|www\.\S+", re.IGNORECASE), " \ue000 "),
    "mentions": (re.compile(r"@\w+"), " \ue001 "),
    "numbers": (re.compile(r"\d+"), "0"),
}
APOSTROPHES = {ord("’"): "'", ord("ʼ"): "'"}
KEPT_WORDS, KEPT_LENGTH = 4096, 16  # some megabytes at most
CHARACTERS_SEED = 1  # of the hash, so that the word `the` is not the letters `the`


def token_ids(texts: Sequence[str] | NDArray[Any], preprocess: TextPreprocess) -> NDArray[np.int64]:
    """The texts' numbers from 1 to `buckets`, int64 `[N, length]`, with 0 after the last. No string is refused.

    The words come first, in their order, then pairs of words and so on, then the n-grams of characters of each word;
    what is more than `length` is cut off.
    """
    ids = np.zeros((len(texts), preprocess.length), np.int64)
    for row, text in zip(ids, texts, strict=True):
        found = list(islice(_hashes(words(text, preprocess), preprocess), preprocess.length))
        row[: len(found)] = found
    return ids


def words(text: str, preprocess: TextPreprocess) -> list[str]:
    """The words and signs of the text's first `characters`, normalised (Unicode NFKC)."""
    text = unicodedata.normalize("NFKC", text[: preprocess.characters]).translate(APOSTROPHES)
    for fold, (pattern, sign) in FOLDS.items():
        if fold in preprocess.fold:
            text = pattern.sub(sign, text)
    return WORD.findall(text.lower() if preprocess.lowercase else text)


def _hashes(found: Sequence[str], preprocess: TextPreprocess) -> Iterator[int]:
    """Of n-grams of words, which have a space between them, and of characters, where `<` and `>` are a word's ends."""
    buckets = preprocess.buckets
    for size in range(1, preprocess.word_ngrams + 1):
        for start in range(len(found) - size + 1):
            yield 1 + _crc32(" ".join(found[start : start + size])) % buckets
    if preprocess.character_ngrams is not None:
        for word in found:
            of_word = _kept if len(word) <= KEPT_LENGTH else _letters
            yield from of_word(word, *preprocess.character_ngrams, buckets)


def _letters(word: str, shortest: int, longest: int, buckets: int) -> Iterator[int]:
    """Of the n-grams of characters of a word."""
    marked = f"<{word}>"
    for size in range(shortest, longest + 1):
        for start in range(len(marked) - size + 1):
            yield 1 + _crc32(marked[start : start + size], CHARACTERS_SEED) % buckets


@lru_cache(maxsize=KEPT_WORDS)
def _kept(word: str, shortest: int, longest: int, buckets: int) -> tuple[int, ...]:
    """The same for words that come again, which most do: half the time of a text is theirs."""
    return tuple(_letters(word, shortest, longest, buckets))


def _crc32(text: str, seed: int = 0) -> int:
    """Of its UTF-8, in which half of a surrogate pair is written as if it were a character."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), seed)
