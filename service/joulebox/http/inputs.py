"""From a native request to the model's input tensors. The body is told apart by its content type."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from joulebox.engine import Tensors
from joulebox.http.forms import read_files
from joulebox.http.images import Picture, open_image, pixel_count, stack
from joulebox.http.texts import decode, tokens
from joulebox.oip.call import check_inputs
from joulebox.oip.tensors import ELEMENTS_MAX, RANK_MAX, check_shape, from_json
from joulebox.package.manifest import ImagePreprocess, Manifest, TensorSpec, TextPreprocess
from joulebox.runtime.errors import BadRequest, TooLarge

IMAGES_MAX = 64  # of one request
TEXTS_MAX = 256
OFF_LOOP_BYTES = 32 * 1024  # larger requests are decoded in a thread,
OFF_LOOP_PIXELS = 256 * 256  # and so are small files of large images
OFF_LOOP_TEXT_BYTES = 2 * 1024  # a hundred times as slow as a byte of pixels
EXPECTED = 'one of {"image": base64 or pixels}, {"images": [several]}, {"text": string}, {"texts": [several]} and {"inputs": {name: tensor}}'

DECODERS = ThreadPoolExecutor(2, thread_name_prefix="decode")
"""Its own few threads, so that large images never keep inference from one."""

T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """What a request holds, not yet decoded."""

    size: int
    """Of the body, in bytes."""
    images: tuple[bytes | str | list[Any], ...] = ()
    """Each the bytes of a file, base64 of them, or nested lists of pixels."""
    texts: tuple[Any, ...] = ()
    """Each a string, unless the client has sent something else."""
    several: bool = False
    """Whether a list is answered, even for one image or text."""
    tensors: dict[str, Any] | None = None


def read(content_type: bytes, body: bytes) -> Sent:
    """Takes a body apart.

    Raises:
        BadRequest: it is not what its content type says, or holds none or too many images or texts.
    """
    kind = content_type.split(b";")[0].strip().lower()
    if kind == b"application/json":
        return _from_json(body)
    if kind == b"multipart/form-data":
        return _from_form(content_type, body)
    if kind == b"text/plain":
        return Sent(len(body), texts=(decode(content_type, body),))
    return Sent(len(body), (body,))


async def to_tensors(sent: Sent, model_name: str, manifest: Manifest) -> Tensors:
    """The model's inputs, one batch.

    Raises:
        BadRequest, TooLarge: the model does not take what was sent.
    """
    large = sent.size > OFF_LOOP_BYTES
    if sent.tensors is not None:
        return await _run(large, partial(_check_tensors, model_name, manifest, sent.tensors))
    preprocess = manifest.preprocess
    if isinstance(preprocess, TextPreprocess) and sent.texts:
        batch = await _run(sent.size > OFF_LOOP_TEXT_BYTES, partial(tokens, sent.texts, preprocess))
    elif isinstance(preprocess, ImagePreprocess) and sent.images:
        batch = await _stack(sent, preprocess, large=large)
    else:
        raise BadRequest(_expected(sent, model_name, manifest))
    return {manifest.inputs[0].name: batch}


def _expected(sent: Sent, model_name: str, manifest: Manifest) -> str:
    """What to say to images for a model of texts, the other way round, and to either for a model of tensors."""
    others = "texts" if sent.texts else "images"
    match manifest.preprocess:
        case None:
            names = ", ".join(spec.name for spec in manifest.inputs)
            return f'model {model_name!r} takes no {others}; send JSON {{"inputs": {{...}}}} with {names}'
        case TextPreprocess():
            return (
                f'model {model_name!r} takes texts, no {others}; send JSON {{"text": string}}, '
                "or the text itself with the header content-type: text/plain"
            )
        case ImagePreprocess():
            return (
                f"model {model_name!r} takes images, no {others}; send the bytes of an image file with its "
                'content-type, or JSON {"image": base64 or pixels}'
            )


async def _stack(sent: Sent, preprocess: ImagePreprocess, *, large: bool) -> NDArray[np.float32]:
    if len(sent.images) * math.prod(preprocess.shape) > ELEMENTS_MAX:
        raise TooLarge(f"{len(sent.images)} images make more than the {ELEMENTS_MAX} elements that a tensor may have")
    pictures = await _run(large, partial(_open_all, sent))
    large |= pixel_count(pictures) > OFF_LOOP_PIXELS
    return await _run(large, partial(stack, pictures, preprocess))


async def _run(apart: bool, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(DECODERS, work) if apart else work()


def _from_json(body: bytes) -> Sent:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    match content:
        case {"image": image, **others} if not others:
            return Sent(len(body), (image,))
        case {"images": list(), **others} if not others:
            return Sent(len(body), _counted("images", cast("list[Any]", content["images"]), IMAGES_MAX), several=True)
        case {"text": text, **others} if not others:
            return Sent(len(body), texts=(text,))
        case {"texts": list(), **others} if not others:
            texts = _counted("texts", cast("list[Any]", content["texts"]), TEXTS_MAX)
            return Sent(len(body), texts=texts, several=True)
        case {"inputs": dict(), **others} if not others:
            return Sent(len(body), tensors=cast("dict[str, Any]", content["inputs"]))
        case dict():
            raise BadRequest(f"the body has the keys {str(sorted(cast('Any', content)))[:80]}; expected {EXPECTED}")
        case _:
            raise BadRequest(f"the body is a JSON {type(content).__name__}; expected {EXPECTED}")


def _from_form(content_type: bytes, body: bytes) -> Sent:
    """The fields `image` (several times for several images) or `images`; or the only file, whatever its field's name."""
    files = read_files(content_type, body)
    names = {name for name, _ in files}
    if not files or (len(files) > 1 and not names <= {"image", "images"}):
        raise BadRequest(f"the form has the files {sorted(names)}; expected one named 'image', or several")
    contents = _counted("images", [content for _, content in files], IMAGES_MAX)
    return Sent(len(body), contents, several=len(contents) > 1 or names == {"images"})


def _counted(kind: str, items: list[Any], most: int) -> tuple[Any, ...]:
    if not 1 <= len(items) <= most:
        raise BadRequest(f"the request has {len(items)} {kind}; expected 1 to {most}")
    return tuple(items)


def _open_all(sent: Sent) -> list[Picture]:
    pictures: list[Picture] = []
    for number, image in enumerate(sent.images):
        try:
            pictures.append(_open(image))
        except BadRequest as error:
            if sent.several:
                raise BadRequest(f"image {number} of {len(sent.images)}: {error}") from error
            raise
    return pictures


def _open(image: Any) -> Picture:
    match image:
        case bytes():
            return open_image(image)
        case str():
            try:
                return open_image(base64.b64decode(image, validate=True))
            except (binascii.Error, ValueError) as error:
                raise BadRequest(f"image is no base64: {error}") from error
        case list():
            return _pixels(cast("list[Any]", image))
        case _:
            raise BadRequest(
                f"image is {type(image).__name__}; expected base64 of an image file, or nested lists of pixels"
            )


def _pixels(image: list[Any]) -> NDArray[Any]:
    try:
        pixels: NDArray[Any] = np.asarray(image)
    except ValueError as error:
        raise BadRequest("image has rows of different lengths") from error
    if pixels.dtype.kind not in "iuf" or not (pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 255):
        raise BadRequest("image has pixels that are not numbers from 0 to 255")
    return pixels


def _check_tensors(model_name: str, manifest: Manifest, given: Mapping[str, Any]) -> Tensors:
    """Nested lists by input name, each of the manifest's inputs once, of one batch size.

    Raises:
        BadRequest: one is missing, unknown, or of another datatype or shape.
    """
    specs = {spec.name: spec for spec in manifest.inputs}
    if given.keys() != specs.keys():
        raise BadRequest(f"inputs has {str(sorted(given))[:80]}; the model takes {sorted(specs)}, each as nested lists")
    tensors = {name: _tensor(model_name, spec, given[name]) for name, spec in specs.items()}
    check_inputs(model_name, manifest, tensors)
    return tensors


def _tensor(model_name: str, spec: TensorSpec, data: Any) -> NDArray[Any]:
    shape = check_shape(model_name, spec, _shape(data))
    return from_json(spec, shape, data if isinstance(data, list) else [data])


def _shape(data: Any) -> list[int]:
    """Of nested lists, by the first of each level (whether the others agree is checked with the values); none of a number."""
    shape: list[int] = []
    while isinstance(data, list) and len(shape) <= RANK_MAX:
        level = cast("list[Any]", data)
        shape.append(len(level))
        data = level[0] if level else None
    return shape
