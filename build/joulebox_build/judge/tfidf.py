"""TF-IDF: a text as weighed counts of its words and pairs of words, for a logistic regression."""

# scikit-learn annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from joulebox_build.data.dataset import Inputs
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import DataError

FEATURES_MAX = 20000  # the most frequent ones
INVERSE_PENALTY = 1.0  # of the logistic regression on it


class TfIdf:
    """Fit on texts; `content` is all that makes it anew."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        kept = json.loads(content)
        self._features = len(kept["terms"])
        self._vectorizer = _vectorizer(vocabulary=kept["terms"])
        self._vectorizer.idf_ = np.asarray(kept["weights"], np.float32)

    @staticmethod
    def fit(texts: Inputs) -> TfIdf:
        """Keeps what at least two of the texts have.

        Raises:
            DataError: they have no word in common.
        """
        vectorizer = _vectorizer(min_df=2, max_features=FEATURES_MAX)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise DataError("train texts have no word in common, so TF-IDF tells nothing; are they texts?") from error
        terms = vectorizer.get_feature_names_out().tolist()
        weights = [float(f"{weight:.6g}") for weight in vectorizer.idf_]
        return TfIdf(json.dumps({"terms": terms, "weights": weights}, ensure_ascii=False).encode())

    @property
    def given(self) -> ModelInput:
        """What a model on top of it takes: a dense vector for each text."""
        return ModelInput("input", "FP32", (self._features,), self.encode)

    def encode(self, texts: Inputs) -> NDArray[np.float32]:
        return self.sparse(texts).toarray()

    def sparse(self, texts: Inputs) -> Any:
        """A sparse matrix float32 `[N, features]`."""
        return self._vectorizer.transform(texts)


def _vectorizer(**settings: Any) -> TfidfVectorizer:
    untyped: Any = TfidfVectorizer  # its stub knows float64 only
    return untyped(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, **settings)
