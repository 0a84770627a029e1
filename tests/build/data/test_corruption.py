"""Corruptions harm each sample by itself, more with severity, the same from the same seed, and never change the form."""

import numpy as np
import pytest

from joulebox_build.data.corruption import OF_IMAGES, OF_TEXTS, check_corruptions, corrupted
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Corruption

RANDOM = np.random.default_rng(0)
IMAGES = np.repeat(np.repeat(RANDOM.integers(0, 256, (40, 3, 6, 7), np.uint8), 4, 2), 4, 3)  # blocks of 4 x 4
TEXTS = np.asarray(["The quick brown fox jumps over the lazy dog, and nobody minds at all"] * 200, object)


def of(kind: str, severity: int) -> Corruption:
    return Corruption.model_validate({"kind": kind, "severity": severity})


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_an_image_stays_one_and_is_harmed_more_with_severity(kind: str) -> None:
    levels = [corrupted(IMAGES, of(kind, severity), seed=1) for severity in range(1, 6)]
    assert all(found.shape == IMAGES.shape and found.dtype == np.uint8 for found in levels)
    harm = [np.abs(found.astype(float) - IMAGES).mean() for found in levels]
    assert harm == sorted(harm)
    assert harm[0] > 0


@pytest.mark.parametrize("kind", OF_TEXTS)
def test_a_text_stays_one_and_is_harmed_more_with_severity(kind: str) -> None:
    levels = [corrupted(TEXTS, of(kind, severity), seed=1) for severity in range(1, 6)]
    assert all(isinstance(text, str) and text.strip() for found in levels for text in found)
    harm = [
        np.mean([abs(len(a) - len(b)) + _apart(a, b) for a, b in zip(found, TEXTS, strict=True)]) for found in levels
    ]
    assert harm == sorted(harm)
    assert harm[0] > 0


def _apart(first: str, second: str) -> int:
    return sum(a != b for a, b in zip(first, second, strict=False))


@pytest.mark.parametrize("kind", [*OF_IMAGES, *OF_TEXTS])
def test_the_seed_decides(kind: str) -> None:
    inputs = IMAGES if kind in OF_IMAGES else TEXTS
    first, again, other = (corrupted(inputs, of(kind, 3), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    if kind not in {"blur", "contrast"}:  # these have no chance in them
        assert (first != other).any()


def test_noise_of_tensors_is_in_proportion_to_them() -> None:
    tensor = RANDOM.normal(size=(50, 9)).astype(np.float32)
    spread = [np.std(corrupted(tensor * size, of("noise", 2), seed=0) - tensor * size) for size in np.float32([1, 100])]
    assert spread[0] == pytest.approx(0.08, rel=0.2)
    assert spread[1] == pytest.approx(100 * spread[0], rel=0.01)


def test_a_text_never_becomes_nothing() -> None:
    short = np.asarray(["a", "I", "x y"] * 100, object)
    for kind in OF_TEXTS:
        assert all(text.strip() for text in corrupted(short, of(kind, 5), seed=0))


@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        (IMAGES, "typos", "'typos' is not for images; expected one of noise, blur, contrast, brightness, shift"),
        (TEXTS, "blur", "'blur' is not for texts; expected one of typos, dropped-words, case"),
        (np.zeros((2, 3), np.float32), "shift", "'shift' is not for tensors; expected one of noise"),
    ],
)
def test_a_corruption_that_does_not_suit_the_data_is_refused(inputs: np.ndarray, kind: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_corruptions([of(kind, 1)], inputs)
