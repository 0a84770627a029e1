"""Samples for people: small PNGs with the same pixels, texts of bounded length, nothing of a tensor."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from joulebox_build.report.sample import LETTERS_MAX, SIDE_MAX, Sample, sample_of, shades


def opened(address: str | None) -> Image.Image:
    head, _, content = (address or "").partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_image_keeps_its_pixels(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, channels, 12, 10)).astype(np.uint8)
    found = np.asarray(opened(sample_of(images, 1).picture)).reshape(12, 10, channels)
    assert np.array_equal(found, images[1].transpose(1, 2, 0))


def test_a_large_one_is_made_smaller() -> None:
    found = opened(sample_of(np.zeros((1, 3, 480, 640), np.uint8), 0).picture)
    assert found.size == (SIDE_MAX, 48)


def test_other_numbers_of_channels_are_shown_as_their_mean() -> None:
    images = np.stack([np.full((4, 4), 10, np.uint8), np.full((4, 4), 30, np.uint8)])[None]
    assert np.asarray(opened(sample_of(images, 0).picture)).max() == 20


def test_a_text_is_itself_unless_it_is_long() -> None:
    texts = np.asarray(["short", "long " * 200], object)
    assert sample_of(texts, 0) == Sample(text="short")
    assert len(sample_of(texts, 1).text or "") == LETTERS_MAX + 1


def test_of_a_tensor_nothing_is_shown() -> None:
    assert sample_of(np.zeros((1, 4), np.float32), 0) == Sample()


def test_shades_are_orange_where_the_probability_falls_and_blue_where_it_rises() -> None:
    fell, rose, same = np.asarray(opened(shades([[0.5, -0.25, 0.0]])))[0].astype(int)
    assert fell[0] > fell[2]
    assert rose[2] > rose[0]
    assert fell[3] > rose[3] > same[3] == 0


def test_what_hardly_changes_is_faint() -> None:
    assert np.asarray(opened(shades([[0.001]])))[0, 0, 3] < 20
