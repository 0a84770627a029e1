"""A view is the same for the same seed and number, mixed or not."""

import numpy as np
import pytest

from joulebox_build.data.dataset import Inputs
from joulebox_build.errors import RecipeError
from joulebox_build.train.views import Mix, draw_mix, view

IMAGES = np.arange(64, dtype=np.uint8).reshape(4, 1, 4, 4)


def augment(images: Inputs, random: np.random.Generator) -> Inputs:
    return images + random.integers(0, 100, (len(images), 1, 1, 1), np.uint8)


def same(images: Inputs, _: np.random.Generator) -> Inputs:
    return images


def drawn(number: int, seed: int, mixup: float = 0.0) -> bytes:
    mix = draw_mix(IMAGES, number, seed=seed, mixup=mixup)
    return view(IMAGES, number, seed=seed, augment=augment, mix=mix).tobytes()


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_a_view_depends_on_seed_and_number_alone(mixup: float) -> None:
    assert drawn(0, 0, mixup) == drawn(0, 0, mixup)
    assert len({drawn(0, 0, mixup), drawn(1, 0, mixup), drawn(0, 1, mixup), drawn(1, 1, mixup)}) == 4


def test_augmenting_in_place_changes_the_view_alone() -> None:
    def darkened(images: Inputs, _: np.random.Generator) -> Inputs:
        images[:, :, 0] = 0
        return images

    images = IMAGES + np.uint8(1)
    seen = view(images, 0, seed=0, augment=darkened)
    assert (seen[:, :, 0] == 0).all()
    assert (images == IMAGES + 1).all()


def test_samples_are_mixed_by_their_shares_and_stay_images() -> None:
    mix = Mix(np.asarray([1, 0, 2, 3]), np.asarray([0.75, 0.5, 0.1, 1.0], np.float32))
    found = view(IMAGES, 0, seed=0, augment=same, mix=mix)
    assert found.dtype == np.uint8
    assert (found[0] == IMAGES[0] + 4).all()
    assert (found[1] == IMAGES[0] + 8).all()
    assert (found[2:] == IMAGES[2:]).all()


def test_each_sample_is_some_others_partner_once() -> None:
    mix = draw_mix(np.zeros((100, 2), np.float32), 0, seed=0, mixup=0.2)
    assert mix is not None
    assert sorted(mix.partners) == list(range(100))
    assert ((mix.shares >= 0) & (mix.shares <= 1)).all()


def test_texts_are_not_mixed() -> None:
    with pytest.raises(RecipeError, match=r"mixup: 0\.2; texts cannot be mixed"):
        draw_mix(np.asarray(["a", "b"], object), 0, seed=0, mixup=0.2)
