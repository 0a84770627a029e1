"""The native API: images or tensors in; labels out, or tensors where the model does not classify."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine import Tensors
from joulebox.http.energy import energy_headers, energy_of
from joulebox.http.exchange import Reply, Request, json_reply, server_timing
from joulebox.http.inputs import Sent, read, to_tensors
from joulebox.http.options import read_options
from joulebox.oip.timed import Timed
from joulebox.package.manifest import ClassifyPostprocess, Manifest
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.model import Model
from joulebox.runtime.sampler import Sampler


async def predict(request: Request, model: Model, sampler: Sampler, timed: Timed, *, shown: bool) -> Reply:
    """Answers one request, as `schemas.Prediction`, `Predictions` or `Outputs` have it.

    Args:
        shown: whether the client may see what it cost.

    Raises:
        BadRequest, TooLarge: the body is not what the model takes.
        NotReady, Overloaded, Expired: see `Model.infer`.
    """
    options = read_options(request)
    running, manifest = model.running, model.package.manifest
    sent = read(request.header(b"content-type"), request.body)
    options.check()  # before it costs decoding
    inputs = await to_tensors(sent, model.name, manifest)
    timed.decoded()
    options.check()  # a model that is free computes at once, whatever the time
    inference = await model.infer(inputs, deadline_s=options.deadline_s)
    energy = sampler.provisional(model, inference)
    content = {
        **answer(sent, inference.outputs, manifest, options.top),
        "model": model.name,
        "version": model.version,
        "engine": running.engine.name,
        "variant": running.variant.name,
        "latency_ms": round(1e3 * (inference.queue_s + inference.compute_s), 4),
        "energy": energy_of(energy, shown=shown),
    }
    reply = json_reply(content)
    reply.headers += energy_headers(energy, shown=shown)
    reply.headers.append(server_timing(inference, timed.done(inference)))
    if request.span is not None:
        request.span.inferred(model, inference, energy)
    return reply


def answer(sent: Sent, outputs: Tensors, manifest: Manifest, top: int | None) -> dict[str, Any]:
    """Predictions where the manifest says how to classify; output tensors where it does not, or tensors were sent."""
    postprocess, predictions = manifest.postprocess, None
    if postprocess is not None:
        predictions = classify(outputs[manifest.outputs[0].name], manifest.labels, postprocess, top or postprocess.top)
    if predictions is None or sent.tensors is not None:
        return {"outputs": {name: _nested(name, array) for name, array in outputs.items()}, "predictions": predictions}
    return {"predictions": predictions} if sent.several else predictions[0]


def classify(
    logits: NDArray[Any], labels: list[str], postprocess: ClassifyPostprocess, top: int
) -> list[dict[str, Any]]:
    """The best `top` classes of each item, or all where there are fewer; `logits` is `[items, classes]`.

    Raises:
        BadRequest: a logit is not finite, which an input out of all range can bring about.
    """
    probabilities = softmax(logits, postprocess.temperature)
    if not np.isfinite(probabilities.sum()):
        raise BadRequest("the model has no finite answer to this input; check that its values are in a sensible range")
    order = (-probabilities).argsort(axis=1, kind="stable")[:, :top]
    confidences = probabilities[np.arange(len(order))[:, None], order]
    return [_classified(*item, labels) for item in zip(order.tolist(), confidences.tolist(), strict=True)]


def softmax(logits: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Probabilities from logits along the last axis (Guo et al. 2017, arXiv:1706.04599, for the temperature)."""
    with np.errstate(invalid="ignore"):  # of infinity: the caller looks for NaN
        powers = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64) / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def _classified(order: list[int], confidences: list[float], labels: list[str]) -> dict[str, Any]:
    scores = zip(order, confidences, strict=True)
    top = [{"label": labels[index], "confidence": round(confidence, 6)} for index, confidence in scores]
    return {**top[0], "top": top}


def _nested(name: str, array: NDArray[Any]) -> Any:
    """Nested lists of an output's shape, or an array that orjson writes as such.

    Raises:
        BadRequest: a value is NaN or infinite, which JSON cannot say.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(
            f"output {name!r} holds NaN or infinity, which JSON cannot say; check the input, or ask /v2 for binary data"
        )
    written = array.dtype.kind in "iufb" and array.dtype != np.float16 and array.ndim > 0 and array.flags.c_contiguous
    return array if written else array.tolist()
