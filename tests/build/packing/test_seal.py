"""Sealed files have the same bytes each time."""

import io
import time

import numpy as np
import pytest

from joulebox_build.packing.seal import golden_samples, npz


def test_an_npz_has_the_same_bytes_later_and_is_read_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"input.image": np.arange(6, dtype=np.float32).reshape(2, 3), "output.logits": np.ones(2, np.float32)}
    first = npz(arrays)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert npz(dict(reversed(arrays.items()))) == first
    with np.load(io.BytesIO(first)) as read:
        assert {name: read[name].tolist() for name in read.files} == {name: a.tolist() for name, a in arrays.items()}


def test_golden_samples_are_drawn_once_each() -> None:
    inputs = np.arange(50, dtype=np.float32)[:, None]
    drawn = golden_samples(inputs, 20, seed=1)
    assert len(set(drawn.ravel())) == 20
    assert np.array_equal(drawn, golden_samples(inputs, 20, seed=1))
    assert len(golden_samples(inputs, 99, seed=1)) == 50
