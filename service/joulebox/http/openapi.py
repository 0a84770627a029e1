"""The OpenAPI document: BentoML's, with what our outer application answers put in truly.

BentoML's `@bentoml.api` knows one media type a body, no path parameters and no statuses but its own; ours has several,
so that what it writes of our paths is replaced by what `operations.py` lists.
"""

from __future__ import annotations

import re
from typing import Any

from bentoml._internal.service.openapi.specification import Components, Info, OpenAPISpecification, PathItem, Tag
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import joulebox
from joulebox.http.oip import TIMEOUT
from joulebox.http.operations import OPERATIONS, Operation
from joulebox.http.options import TOP_MAX
from joulebox.http.schemas import Problem
from joulebox.oip.call import TIMEOUT_S_MAX

DESCRIPTION = "Small models with the joules of each inference. Raw tensors go to /v2 (Open Inference Protocol)."
VERSION = "3.1.0"  # the one whose schemas are those that pydantic writes
INFRASTRUCTURE = ("/livez", "/readyz", "/healthz")
REF = "#/components/schemas/{model}"
JSON = "application/json"
TEXT = "text/plain"
OCTETS = "application/octet-stream"
FILE = {"schema": {"type": "string", "format": "binary"}}
RAW_TEXT = "JSON, as many bytes of it as the header Inference-Header-Content-Length says, then raw tensors"
RAW = {"schema": {"type": "string", "format": "binary", "description": RAW_TEXT}}
ERRORS = {
    400: "What was sent is not what is taken; `error` says what, the value and what was expected",
    401: "There is no API key, or not one that is known",
    403: "This client may not",
    404: "There is no such model or version",
    405: "The path has no such method",
    413: "The body, or what it asks for, is too large",
    429: "This client has too much under way already",
    501: "Shared memory is off",
    503: "The model takes no traffic now, its queue is full, or the deadline has passed",
}
RETRY = {"Retry-After": {"description": "Seconds until it is worth another try", "schema": {"type": "integer"}}}


def _parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **required, "description": description, "schema": schema}


PARAMETERS = {
    "name": _parameter("name", "path", "Of the model", type="string"),
    "version": _parameter("version", "path", "Of the model", type="string"),
    "region": _parameter("region", "path", "Name of the region", type="string"),
}
TOP = _parameter(
    "top", "query", "So many of the best classes, in place of the model's own number; all where it has fewer",
    type="integer", minimum=1, maximum=TOP_MAX,
)  # fmt: skip
TIMEOUT_MS = _parameter(
    TIMEOUT.decode(), "header", "Milliseconds after which the answer is of no more use, and 503 is given instead",
    type="number", exclusiveMinimum=0, maximum=round(1e3 * TIMEOUT_S_MAX),
)  # fmt: skip


def document(base: OpenAPISpecification) -> OpenAPISpecification:
    """BentoML's document of the service, with our operations in place of what it says of them."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = describe(operation)
    ours = {path: PathItem(**methods) for path, methods in paths.items()}
    tags = [Tag(name=name) for name in dict.fromkeys(operation.tag for operation in OPERATIONS)]
    infrastructure = {path: base.paths[path] for path in INFRASTRUCTURE}
    return OpenAPISpecification(
        openapi=VERSION,
        servers=base.servers,
        info=Info(title=base.info.title, version=joulebox.__version__, description=DESCRIPTION),
        paths={**ours, **infrastructure},
        tags=[*tags, *(tag for tag in base.tags or () if tag.name == "Infrastructure")],
        components=Components(schemas=_schemas(), responses={f"Error{status}": _error(status) for status in ERRORS}),
    )


def describe(operation: Operation) -> dict[str, Any]:
    """An operation as OpenAPI has it."""
    parameters = [PARAMETERS[name] for name in re.findall(r"{(\w+)}", operation.path)]
    parameters += [TOP, TIMEOUT_MS] if operation.native else []
    parameters += [TIMEOUT_MS] if operation.raw else []
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": _responses(operation),
    }
    if operation.body:
        described["requestBody"] = {"required": operation.body_required, "content": _bodies(operation)}
    return described


def _bodies(operation: Operation) -> dict[str, Any]:
    bodies: dict[str, Any] = {JSON: {"schema": _any_of(operation.body)}}
    if operation.native:
        file = {"type": "string", "contentMediaType": OCTETS}
        files = {"image": file, "images": {"type": "array", "items": file, "minItems": 1}}
        bodies["multipart/form-data"] = {"schema": {"type": "object", "properties": files}}
        bodies |= {"image/*": FILE, OCTETS: FILE, TEXT: {"schema": {"type": "string"}}}
    if operation.raw:
        bodies[OCTETS] = RAW
    return bodies


def _responses(operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done"}
    if operation.text:
        success["content"] = {TEXT: {"schema": {"type": "string"}}}
    else:
        success["content"] = {
            JSON: {"schema": _any_of(operation.answer)},
            **({OCTETS: RAW} if operation.raw else {}),
        }
    statuses = {*operation.errors, 405, *(() if operation.open else (401,))}
    responses: dict[str, Any] = {"200": success}
    responses |= {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in sorted(statuses)}
    if operation.not_ready is not None:
        responses["503"] = {"description": "Not ready", "content": {JSON: {"schema": _any_of((operation.not_ready,))}}}
    return responses


def _error(status: int) -> Any:
    error: dict[str, Any] = {"description": ERRORS[status], "content": {JSON: {"schema": _any_of((Problem,))}}}
    return {**error, "headers": RETRY} if status in {429, 503} else error


def _any_of(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    refs = [{"$ref": REF.format(model=model.__name__)} for model in models]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _schemas() -> dict[str, Any]:
    asked = {model for operation in OPERATIONS for model in operation.body}
    answered = {model for operation in OPERATIONS for model in operation.answer}
    answered |= {operation.not_ready for operation in OPERATIONS if operation.not_ready is not None}
    modes: dict[type[BaseModel], JsonSchemaMode] = dict.fromkeys(asked, "validation")
    modes |= dict.fromkeys(answered | {Problem}, "serialization")
    return dict(sorted(models_json_schema(tuple(modes.items()), ref_template=REF)[1]["$defs"].items()))
