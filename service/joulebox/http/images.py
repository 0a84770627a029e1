"""From an image file to the tensor that the manifest's preprocessing describes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from joulebox.package.manifest import ImagePreprocess
from joulebox.runtime.errors import BadRequest

PIXELS_MAX = 50_000_000  # of a file, checked before it is decompressed
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def decode(content: bytes, preprocess: ImagePreprocess) -> NDArray[np.float32]:
    """Upright, in the model's channels and size, normalised: float32 `[1, channels, height, width]`.

    Raises:
        BadRequest: the bytes are no image, or too large a one.
    """
    if not content:
        raise BadRequest("the image is empty; send the bytes of a PNG or JPEG file")
    try:
        opened: Any = Image.open(io.BytesIO(content), formats=FORMATS)
        with opened as image:
            if image.width * image.height > PIXELS_MAX:
                raise BadRequest(
                    f"the image has {image.width} x {image.height} pixels; at most {PIXELS_MAX:,} are decoded"
                )
            upright = ImageOps.exif_transpose(image).convert("L" if preprocess.channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        starts = content[:16].hex(" ")
        raise BadRequest(
            f"the {len(content)} bytes (starting {starts}) are no readable image; expected {', '.join(FORMATS)}"
        ) from error
    size = (preprocess.width, preprocess.height)
    resized = upright if upright.size == size else upright.resize(size, Image.Resampling.BILINEAR)
    return normalize(np.asarray(resized, np.uint8), preprocess)


def normalize(pixels: NDArray[Any], preprocess: ImagePreprocess) -> NDArray[np.float32]:
    """Pixels 0 to 255 of shape `[height, width]` or `[height, width, channels]`, as the model takes them.

    Raises:
        BadRequest: the shape is another.
    """
    expected = (preprocess.height, preprocess.width, preprocess.channels)
    if pixels.shape not in (expected, expected[:2] if preprocess.channels == 1 else expected):
        raise BadRequest(f"the pixels have shape {list(pixels.shape)}; expected {list(expected)}")
    scale, offset = preprocess.affine()
    planes = np.reshape(pixels, expected).astype(np.float32) * scale + offset
    return np.ascontiguousarray(np.moveaxis(planes, 2, 0)[None])
