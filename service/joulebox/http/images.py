"""From image files to the tensor that the manifest's preprocessing describes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from joulebox.package.manifest import ImagePreprocess
from joulebox.runtime.errors import BadRequest

PIXELS_MAX = 50_000_000  # of all files of a request, checked before any is decompressed
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

Picture = Any
"""A file whose header was read (`PIL.Image.Image`), or an array of pixels 0 to 255."""


def open_image(content: bytes) -> Picture:
    """Reads a file's header; nothing is decompressed yet.

    Raises:
        BadRequest: the bytes are no image.
    """
    if not content:
        raise BadRequest("the image is empty; send the bytes of a PNG or JPEG file")
    try:
        image: Any = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # of 89 million pixels and more
        raise BadRequest(f"the image has too many pixels; at most {PIXELS_MAX:,} are decoded") from error
    except Exception as error:  # whatever the parser of a format runs into
        hint = "; JSON needs the header content-type: application/json" if content[:1] in {b"{", b"["} else ""
        raise BadRequest(
            f"the {len(content)} bytes (starting {content[:16].hex(' ')}) are no readable image; "
            f"expected {', '.join(FORMATS)}{hint}"
        ) from error
    if image.mode in {"I", "F"}:
        raise BadRequest(
            f"the {image.format} file has 32 bits a channel (mode {image.mode}), whose range is not known; send 8 or 16"
        )
    return image


def pixel_count(pictures: Sequence[Picture]) -> int:
    """Of a request's pictures together.

    Raises:
        BadRequest: one has none, or they have more than are decoded.
    """
    sizes = [picture.width * picture.height for picture in pictures if isinstance(picture, Image.Image)]
    if 0 in sizes:
        raise BadRequest("the image is 0 pixels wide or high; expected at least 1 x 1")
    total = sum(sizes)
    if total > PIXELS_MAX:
        what = "the image has" if len(pictures) == 1 else f"the {len(pictures)} images have"
        raise BadRequest(f"{what} {total:,} pixels; at most {PIXELS_MAX:,} are decoded in one request")
    return total


def stack(pictures: Sequence[Picture], preprocess: ImagePreprocess) -> NDArray[np.float32]:
    """Upright, in the model's channels, size and layout, normalised: float32 `[pictures, ...]`.

    Raises:
        BadRequest: a file is broken or of a kind that is not taken, or pixels have another shape.
    """
    batch = np.empty((len(pictures), *preprocess.shape), np.float32)
    for slot, picture in zip(batch, pictures, strict=True):
        pixels: NDArray[Any] = _pixels(picture, preprocess) if isinstance(picture, Image.Image) else picture
        _normalize(pixels, preprocess, slot)
    return batch


def _pixels(image: Picture, preprocess: ImagePreprocess) -> NDArray[np.uint8]:
    """Decoded: `[height, width]` or `[height, width, channels]`."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
        plain = _plain(image, "L" if preprocess.channels == 1 else "RGB")
    except Exception as error:  # whatever the decoder of a format runs into
        raise BadRequest(
            f"the {image.format} file is broken or cut off, no readable image: {str(error)[:80]}"
        ) from error
    return np.asarray(_resized(plain, preprocess), np.uint8)


def _plain(image: Picture, mode: str) -> Picture:
    """Eight bits a channel, without transparency.

    Transparent parts are laid over black: what lies under them is left to the program that wrote the file, and must
    not decide the answer.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.new("RGB", layered.size)
        image.paste(layered, mask=layered.getchannel("A"))
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Picture, preprocess: ImagePreprocess) -> Picture:
    size = (preprocess.width, preprocess.height)
    if image.size == size:
        return image
    box = _centre(image.size, size) if preprocess.resize == "crop" else None
    return image.resize(size, Image.Resampling.BILINEAR, box=box)


def _centre(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest part of an image in the middle that has the wanted proportions: left, top, right, bottom.

    Cut first and resized in one step: the other way round, a line of 50 million pixels would become as many rows.
    """
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    left, top = (size[0] - scale * wanted[0]) / 2, (size[1] - scale * wanted[1]) / 2
    return max(0.0, left), max(0.0, top), min(size[0], left + scale * wanted[0]), min(size[1], top + scale * wanted[1])


def _normalize(pixels: NDArray[Any], preprocess: ImagePreprocess, slot: NDArray[np.float32]) -> None:
    """Into `slot`, one image of the batch. Planes are copied first: arithmetic on contiguous ones is ten times as fast."""
    expected = (preprocess.height, preprocess.width, preprocess.channels)
    if pixels.shape not in (expected, expected[:2] if preprocess.channels == 1 else expected):
        raise BadRequest(f"the pixels have shape {list(pixels.shape)}; expected {list(expected)}")
    scale, offset = preprocess.affine()
    pixels = np.reshape(pixels, expected)
    if preprocess.layout == "NCHW":
        pixels = np.transpose(pixels, (2, 0, 1))
        scale, offset = scale[:, None, None], offset[:, None, None]
    slot[:] = pixels
    slot *= scale
    slot += offset
