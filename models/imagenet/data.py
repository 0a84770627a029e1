"""Photos without labels: square crops of those that scikit-image and scikit-learn ship; README.md has their licences."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from joulebox_build.data.unlabelled import Unlabelled
from joulebox_build.data.wheels import Wheel, read_wheel

SIDE = 224  # pixels
SMALLEST = 0.5  # of the photo's short side that a crop has at least
PHOTOS = Wheel(
    "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
)

CALIBRATION = (  # what they show does not matter, their variety does
    "brick.png",
    "camera.png",
    "cell.png",
    "china.jpg",
    "clock_motion.png",
    "coins.png",
    "flower.jpg",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
)
TEST = ("astronaut.png", "chelsea.png", "coffee.png", "grass.png", "moon.png", "rocket.jpg")  # none of the others
CALIBRATION_CROPS, TEST_CROPS = 12, 60  # of each photo


def load() -> Unlabelled:
    """Crops uint8 `[N, 3, 224, 224]`; those to calibrate on, and for the test, are of different photos.

    Raises:
        DataError: the photos cannot be had.
    """
    labels = (Path(__file__).parent / "labels.txt").read_text("utf-8").splitlines()
    calibration = [crops(name, CALIBRATION_CROPS, [0, number]) for number, name in enumerate(CALIBRATION)]
    test = [crops(name, TEST_CROPS, [1, number]) for number, name in enumerate(TEST)]
    groups = np.repeat([Path(name).stem for name in TEST], TEST_CROPS)
    return Unlabelled(tuple(labels), np.concatenate(calibration), np.concatenate(test), {"photo": groups})


def photo(name: str) -> bytes:
    """A photo of scikit-image's, as the file it is."""
    return read_wheel(PHOTOS, f"skimage/data/{name}")


def crops(name: str, count: int, seed: list[int]) -> NDArray[np.uint8]:
    """Squares of a random place and size, mirrored half of the time: uint8 `[count, 3, 224, 224]`."""
    random, image, made = np.random.default_rng(seed), _open(name), np.empty((count, 3, SIDE, SIDE), np.uint8)
    for slot in made:
        side = min(image.size) * random.uniform(SMALLEST, 1)
        left, top = (random.uniform(0, length - side) for length in image.size)
        box = (left, top, left + side, top + side)
        pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))  # as a device resizes
        slot[:] = (pixels[:, ::-1] if random.integers(2) else pixels).transpose(2, 0, 1)
    return made


def _open(name: str) -> Image.Image:
    if name in {"china.jpg", "flower.jpg"}:
        return Image.fromarray(load_sample_image(name))
    return Image.open(io.BytesIO(photo(name))).convert("RGB")
