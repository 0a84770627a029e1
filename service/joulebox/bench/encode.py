"""Requests for inference as bytes: the Open Inference Protocol with JSON or binary tensors, over HTTP."""

from __future__ import annotations

from typing import Any

import orjson

from joulebox.bench.connection import JSON, Address, Answer
from joulebox.bench.inputs import Tensors
from joulebox.oip.tensors import to_json, to_raw
from joulebox.package import TensorSpec


def infer_path(model: str) -> str:
    return f"/v2/models/{model}/infer"


def json_request(address: Address, model: str, specs: list[TensorSpec], tensors: Tensors) -> bytes:
    inputs = [{**_head(spec, tensors), "data": to_json(spec.name, tensors[spec.name])} for spec in specs]
    body = orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return address.request("POST", infer_path(model), body, JSON)


def binary_request(address: Address, model: str, specs: list[TensorSpec], tensors: Tensors) -> bytes:
    """With the binary tensor data extension in both directions: JSON, then each tensor's bytes."""
    raw = [to_raw(tensors[spec.name]) for spec in specs]
    inputs = [
        {**_head(spec, tensors), "parameters": {"binary_data_size": len(content)}}
        for spec, content in zip(specs, raw, strict=True)
    ]
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    fields = (
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(header))),
    )
    return address.request("POST", infer_path(model), b"".join([header, *raw]), fields)


def answer_json(answer: Answer) -> dict[str, Any]:
    """The JSON of an answer, without its raw tensors; empty where it is none."""
    length = int(answer.header) if answer.header.isdigit() else len(answer.body)
    try:
        content = orjson.loads(answer.body[:length])
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def error_text(answer: Answer) -> str:
    """What the server said was wrong, in one line."""
    said = answer_json(answer).get("error")
    text = said if isinstance(said, str) else answer.body.decode(errors="replace")
    return " ".join(text.split())[:300] or f"status {answer.kind}"


def _head(spec: TensorSpec, tensors: Tensors) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(tensors[spec.name].shape)}
