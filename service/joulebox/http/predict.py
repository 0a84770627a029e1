"""The native API: an image in, a label out. The body is told apart by its content type."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from joulebox.http.energy import energy_of
from joulebox.http.exchange import Reply, Request, json_reply
from joulebox.http.images import decode, normalize
from joulebox.http.timed import Timed
from joulebox.package.manifest import ClassifyPostprocess, ImagePreprocess
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.model import Model
from joulebox.runtime.sampler import Sampler

OFF_LOOP_BYTES = 32 * 1024  # larger images are decoded in a thread


class Score(BaseModel):
    """One class and its probability."""

    label: str
    confidence: float


class Energy(BaseModel):
    """What the answer cost, as far as known when it was given."""

    joules: float | None
    source: str = Field(description="measured, integrated, estimated or none")
    provisional: bool


class Prediction(BaseModel):
    """The answer to a prediction."""

    label: str
    confidence: float
    top: list[Score]
    model: str
    version: str
    engine: str
    variant: str
    latency_ms: float = Field(description="Queue and compute, in milliseconds")
    energy: Energy | None = Field(description="null for clients beyond loopback unless exposed")


async def predict(request: Request, model: Model, sampler: Sampler, timed: Timed, *, shown: bool) -> Reply:
    """Answers one image.

    Args:
        shown: whether the client may see what it cost.

    Raises:
        BadRequest: the body is no image, or the model takes none.
        NotReady, Overloaded: see `Model.infer`.
    """
    manifest = model.package.manifest
    preprocess, postprocess = manifest.preprocess, manifest.postprocess
    if preprocess is None or postprocess is None:
        raise BadRequest(f"model {model.name!r} has no image preprocessing; use /v2/models/{model.name}/infer")
    running = model.running
    tensor = await _tensor(request, preprocess)
    timed.decoded()
    inference = await model.infer({manifest.inputs[0].name: tensor})
    probabilities = softmax(inference.outputs[manifest.outputs[0].name][0], postprocess.temperature)
    top = best(probabilities, manifest.labels, postprocess)
    answer = {
        **top[0],
        "top": top,
        "model": model.name,
        "version": model.version,
        "engine": running.engine.name,
        "variant": running.variant.name,
        "latency_ms": round(1e3 * (inference.queue_s + inference.compute_s), 4),
        "energy": energy_of(sampler.provisional(model, inference), shown=shown),
    }
    reply = json_reply(answer)
    timed.done(reply, inference)
    return reply


def softmax(logits: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Probabilities `[classes]` from logits `[classes]` (Guo et al. 2017, arXiv:1706.04599, for the temperature)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    return powers / powers.sum()


def best(
    probabilities: NDArray[np.float64], labels: list[str], postprocess: ClassifyPostprocess
) -> list[dict[str, Any]]:
    order = np.argsort(-probabilities, kind="stable")[: postprocess.top]
    return [{"label": labels[index], "confidence": round(float(probabilities[index]), 6)} for index in order]


async def _tensor(request: Request, preprocess: ImagePreprocess) -> NDArray[np.float32]:
    content_type = request.header(b"content-type").split(b";")[0].strip().lower()
    if content_type == b"application/json":
        return _from_json(request.json().get("image"), preprocess)
    content = request.body
    if content_type == b"multipart/form-data":
        content = await _from_form(request, content)
    if len(content) > OFF_LOOP_BYTES:
        return await asyncio.to_thread(decode, content, preprocess)
    return decode(content, preprocess)


def _from_json(image: Any, preprocess: ImagePreprocess) -> NDArray[np.float32]:
    """From base64 of an image file, or from nested lists of pixels 0 to 255."""
    if isinstance(image, str):
        try:
            return decode(base64.b64decode(image, validate=True), preprocess)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"image is no base64: {error}") from error
    if not isinstance(image, list):
        raise BadRequest(
            f"image is {type(image).__name__}; expected base64 of an image file, or nested lists of pixels"
        )
    try:
        pixels: NDArray[Any] = np.asarray(cast("Any", image))
    except ValueError as error:
        raise BadRequest("image has rows of different lengths") from error
    if pixels.dtype.kind not in "iuf" or not (pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 255):
        raise BadRequest("image has pixels that are not numbers from 0 to 255")
    return normalize(pixels, preprocess)


async def _from_form(request: Request, content: bytes) -> bytes:
    """The field `image`, or the only file that was sent."""

    async def whole():
        yield content

    try:
        form = await MultiPartParser(
            Headers(raw=list(request.headers.items())), whole(), max_files=4, max_fields=16
        ).parse()
    except (MultiPartException, KeyError) as error:
        raise BadRequest(f"the form cannot be read: {error}") from error
    try:
        files = {name: value for name, value in form.multi_items() if isinstance(value, UploadFile)}
        file = files.get("image") or (next(iter(files.values())) if len(files) == 1 else None)
        if file is None:
            raise BadRequest(f"the form has the files {sorted(files)}; expected one named 'image'")
        return await file.read()
    finally:
        await form.close()
