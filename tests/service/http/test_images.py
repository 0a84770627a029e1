"""What becomes of image files of every kind that a client may send. Pillow makes the files, the code under test reads them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from joulebox.http.images import PIXELS_MAX, open_image, pixel_count, stack
from joulebox.package.manifest import ImagePreprocess
from joulebox.runtime.errors import BadRequest

GREY = (np.arange(16, dtype=np.uint8) * 15).reshape(4, 4)
COLOURS = np.stack([GREY, 255 - GREY, GREY.T], axis=-1)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def preprocess(channels: int = 1, **changes: Any) -> ImagePreprocess:
    """Which leaves pixels as they are, so that expectations are pixels."""
    identity = {"mean": [0.0] * channels, "std": [1 / 255] * channels}
    return ImagePreprocess.model_validate({"height": 4, "width": 4, "channels": channels, **identity, **changes})


def pixels(content: bytes, channels: int = 1, **changes: Any) -> np.ndarray:
    """`[height, width]` or `[height, width, 3]`, as the model gets them."""
    tensor = stack([open_image(content)], preprocess(channels, **changes))
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    return tensor[0, 0] if channels == 1 else np.moveaxis(tensor[0], 0, 2)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_same_greys_in_every_mode_are_the_same_to_the_model(mode: str, kind: str) -> None:
    content = encoded(Image.fromarray(GREY).convert(mode), kind)
    np.testing.assert_allclose(pixels(content), GREY, atol=1e-4)
    np.testing.assert_allclose(pixels(content, 3), np.stack([GREY] * 3, axis=-1), atol=1e-4)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_lossless_formats_keep_colours(kind: str, options: dict[str, Any]) -> None:
    np.testing.assert_allclose(pixels(encoded(Image.fromarray(COLOURS), kind, **options), 3), COLOURS, atol=1e-4)


def test_black_and_white_and_palettes() -> None:
    checked = (np.indices((4, 4)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(pixels(encoded(Image.fromarray(checked).convert("1"))), checked, atol=1e-4)
    palette = Image.fromarray(COLOURS).quantize(16, dither=Image.Dither.NONE)
    np.testing.assert_allclose(pixels(encoded(palette), 3), np.asarray(palette.convert("RGB")), atol=1e-4)


def test_sixteen_bits_are_scaled_to_eight_not_cut() -> None:
    content = encoded(Image.fromarray(GREY.astype(np.uint16) * 257))
    np.testing.assert_allclose(pixels(content), GREY, atol=1e-4)


def test_a_cmyk_jpeg_has_the_colours_that_it_shows() -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0)).convert("CMYK")
    np.testing.assert_allclose(pixels(encoded(red, "JPEG", quality=100), 3)[0, 0], [255, 0, 0], atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(orientation: int) -> None:
    turns = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # how a camera would have stored the upright one
    stored = Image.fromarray(GREY)
    for turn in turns.get(orientation, []):
        stored = stored.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_allclose(pixels(encoded(stored, exif=exif)), GREY, atol=1e-4)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_lies_under_transparent_pixels_decides_nothing(mode: str) -> None:
    alpha = np.tile(np.array([0, 255], np.uint8), (4, 2))
    seen = []
    for under in (0, 90, 255):
        picture = Image.fromarray(np.where(alpha == 0, np.uint8(under), GREY)).convert(mode)
        picture.putalpha(Image.fromarray(alpha))
        seen.append(pixels(encoded(picture)))
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    np.testing.assert_allclose(seen[0], np.where(alpha == 0, 0, GREY), atol=1e-4)


def test_a_colour_that_the_file_calls_transparent_is_black() -> None:
    content = encoded(Image.fromarray(GREY).convert("P"), transparency=15)
    np.testing.assert_allclose(pixels(content), np.where(GREY == 15, 0, GREY), atol=1e-4)


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_of_an_animation_the_first_frame_counts(kind: str, options: dict[str, Any]) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY), Image.new("L", (4, 4))]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_allclose(pixels(content), GREY, atol=1e-4)


def test_stretch_takes_the_whole_image_and_crop_the_middle_in_its_proportions() -> None:
    wide = np.concatenate([np.zeros((4, 4), np.uint8), GREY, np.zeros((4, 4), np.uint8)], axis=1)
    content = encoded(Image.fromarray(wide))
    np.testing.assert_allclose(pixels(content, resize="crop"), GREY, atol=1e-4)
    assert pixels(content)[:, 0].max() == 0, "the black at the left is still there"
    content = encoded(Image.fromarray(wide.T.copy()))
    np.testing.assert_allclose(pixels(content, resize="crop"), GREY.T, atol=1e-4)


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.sampled_from(["stretch", "crop"])
)
def test_any_size_comes_to_the_models_and_one_colour_stays(
    width: int, height: int, to_width: int, to_height: int, resize: str
) -> None:
    content = encoded(Image.new("L", (width, height), 77))
    size = {"width": to_width, "height": to_height, "resize": resize}
    np.testing.assert_allclose(pixels(content, **size), np.full((to_height, to_width), 77), atol=1e-4)


def test_a_line_of_a_million_pixels_is_cropped_without_blowing_up() -> None:
    assert pixels(encoded(Image.new("L", (1_000_000, 1), 9)), resize="crop").max() == pytest.approx(9)


def test_nhwc_holds_the_same_numbers_as_nchw() -> None:
    content, values = encoded(Image.fromarray(COLOURS)), {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    planes = stack([open_image(content)], preprocess(3, **values))
    interleaved = stack([open_image(content)], preprocess(3, **values, layout="NHWC"))
    np.testing.assert_array_equal(planes, np.moveaxis(interleaved, 3, 1))
    np.testing.assert_allclose(interleaved[0], (COLOURS / 255 - values["mean"]) / values["std"], rtol=1e-5, atol=1e-6)


def test_several_images_of_other_sizes_make_one_batch() -> None:
    contents = [encoded(Image.new("L", (size, 2 * size), size)) for size in (3, 4, 50)]
    batch = stack([open_image(content) for content in contents], preprocess())
    np.testing.assert_allclose(batch[:, 0].mean(axis=(1, 2)), [3, 4, 50], rtol=1e-5)


def test_pixels_may_stand_beside_files() -> None:
    batch = stack([open_image(encoded(Image.fromarray(GREY))), GREY, GREY[..., None].astype(float)], preprocess())
    np.testing.assert_allclose(batch, np.stack([GREY[None]] * 3), atol=1e-4)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_072, 9_000, 12_000, 100_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(BadRequest, match="pixels; at most 50,000,000"):
        pixel_count([open_image(png_that_claims(side, side))])


def test_images_of_one_request_share_the_bound() -> None:
    one = open_image(png_that_claims(5_000, 5_000))
    assert pixel_count([one, one]) == PIXELS_MAX
    with pytest.raises(BadRequest, match="3 images have 75,000,000 pixels"):
        pixel_count([one, one, one])


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadRequest):
        pixel_count([open_image(png_that_claims(*size))])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"no image at all", "no readable image; expected PNG, JPEG"),
        (b'{"image": "..."}', "content-type: application/json"),
        (encoded(Image.fromarray(GREY), "PPM"), "no readable image"),
        (encoded(Image.fromarray(GREY), "ICO"), "no readable image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no readable image"),
        (encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "32 bits a channel"),
        (encoded(Image.fromarray(GREY.astype(np.int32)), "TIFF"), "32 bits a channel"),
    ],
)
def test_what_is_not_taken_is_refused_with_the_reason(content: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        open_image(content)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
FILES = {kind: encoded(NOISE, kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_off_anywhere_is_refused(kind: str) -> None:
    content, needed = FILES[kind], 0.9  # what comes last in some formats, such as a checksum, holds no pixels
    for end in range(0, int(needed * len(content)), 7):
        with pytest.raises(BadRequest):
            pixels(content[:end], 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4))))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(kind: str, damages: list[tuple[float, bytes]]) -> None:
    content = bytearray(FILES[kind])
    for where, what in damages:
        begin = int(where * len(content))
        content[begin : begin + len(what)] = what
    try:
        picture = open_image(bytes(content))
        pixel_count([picture])
        batch = stack([picture], preprocess(3))
    except BadRequest:
        return
    assert batch.min() >= 0
    assert batch.max() <= 255.1
