"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; MIT licence): 28 x 28 grey images of clothes in ten classes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Dataset, Split, stratified_holdout
from joulebox_build.data.files import find_files

LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
BRIGHTNESS = (54, 88)  # between these means, of 255, lies a third of the images
VALIDATION = 5000  # of the 60,000 training images; the 10,000 test images are read for the report alone

FILES = {  # SHA-256 of the uncompressed content
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package puts it
DOWNLOAD = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
HINT = "install Debian's package (apt-get install dataset-fashion-mnist), or put the four .gz files in a folder and set JOULEBOX_DATA to it"


def load() -> Dataset:
    """Images uint8 `[N, 1, 28, 28]`, labels int64 `[N]`.

    Raises:
        DataError: no complete copy could be found or downloaded, or a file is not what its checksum says.
    """
    files = find_files("fashion", FILES, folders=[FOLDER], download=DOWNLOAD, hint=HINT)
    images, labels = (_idx(files[f"train-{kind}-ubyte.gz"]) for kind in ("images-idx3", "labels-idx1"))
    test_images, test_labels = (_idx(files[f"t10k-{kind}-ubyte.gz"]) for kind in ("images-idx3", "labels-idx1"))
    train, validation = stratified_holdout(_split(images, labels), VALIDATION, seed=0)
    return Dataset(LABELS, train, validation, _split(test_images, test_labels))


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    brightness = np.array(["dark", "medium", "bright"])[np.digitize(images.mean((1, 2)), BRIGHTNESS)]
    return Split(images[:, None], labels.astype(np.int64), {"brightness": brightness})


def augment(images: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Each image by itself: mirrored half of the time, shifted by up to 2 pixels, an 8 x 8 square erased half of the time.

    Args:
        images: uint8 `[N, 1, H, W]`; the result has the same shape and type.
    """
    count, _, height, width = images.shape

    def draw(low: int, high: int) -> NDArray[np.int64]:
        return random.integers(low, high, (count, 1))

    rows, columns = np.arange(height)[None], np.arange(width)[None]
    mirrored = np.where(draw(0, 2) == 1, width - 1 - columns, columns)
    padded = np.pad(images[:, 0], ((0, 0), (2, 2), (2, 2)))
    moved_rows, moved_columns = rows + draw(0, 5), mirrored + draw(0, 5)
    moved = padded[np.arange(count)[:, None, None], moved_rows[:, :, None], moved_columns[:, None, :]]
    top, left, erase = draw(-4, height - 3), draw(-4, width - 3), draw(0, 2) == 1
    hit_rows = (rows >= top) & (rows < top + 8) & erase
    hit_columns = (columns >= left) & (columns < left + 8)
    moved[hit_rows[:, :, None] & hit_columns[:, None, :]] = 0
    return moved[:, None]


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array of the IDX format: magic `00 00 08 rank`, big-endian sizes, then bytes."""
    with gzip.open(path) as file:
        content = file.read()
    rank = content[3]
    shape = np.frombuffer(content, ">i4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
