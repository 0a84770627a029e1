"""Occlusion maps: what an answer loses where a part of the input is hidden."""

from typing import Any

import numpy as np
import pytest

from joulebox_build.judge.occlusion import GRID, WORDS_MAX, Occlusion, occlusion, words_of

GREY = np.asarray([100], np.uint8)
NONE = np.zeros(0, np.uint8)


def corner(images: Any) -> Any:
    """Sure of class 1 where the top left pixel is white."""
    white = images[:, 0, 0, 0] / 255
    return np.stack([1 - white, white], 1)


def positive(texts: Any) -> Any:
    return np.asarray([[0.1, 0.9] if "good" in text else [0.7, 0.3] for text in texts])


def test_the_probability_falls_where_the_patch_covers_what_decides_and_nowhere_else() -> None:
    found = occlusion(np.full((1, 1, 28, 28), 255, np.uint8), 1, 5, GREY, corner)
    drops = np.asarray(found.drops)
    assert (found.sample, found.label, found.answer, found.confidence) == (5, 1, 1, 1.0)
    assert drops.shape == (GRID, GRID)
    assert drops[0, 0] == pytest.approx(1 - 100 / 255, abs=1e-3)
    assert not drops[4:].any()
    assert not drops[:, 4:].any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 9), (1, 200, 50)])
def test_images_of_any_shape_have_a_map(shape: tuple[int, int, int]) -> None:
    colour = np.full(shape[0], 7, np.uint8)
    found = occlusion(np.full((1, *shape), 255, np.uint8), 0, 0, colour, corner)
    assert np.asarray(found.drops).shape == (GRID, GRID)


def test_a_text_loses_what_its_decisive_word_gave_and_gains_nothing_by_others() -> None:
    found = occlusion(np.asarray(["a good  film"], object), 1, 0, NONE, positive)
    assert found == Occlusion(0, 1, 1, 0.9, [[0.0, 0.6, 0.0]])
    assert words_of("a good  film") == ["a", "good", "film"]


def test_an_empty_text_has_no_words_to_leave_out() -> None:
    assert occlusion(np.asarray([""], object), 0, 0, NONE, positive).drops == [[]]


def test_of_a_long_text_the_first_words_are_looked_at() -> None:
    found = occlusion(np.asarray(["word " * 500], object), 0, 0, NONE, positive)
    assert len(found.drops[0]) == WORDS_MAX == len(words_of("word " * 500))
