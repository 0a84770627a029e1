"""What this server answers: path, method, bodies, answers and errors of each operation, for the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from joulebox.http import oip_schemas as oip
from joulebox.http import schemas

NATIVE = "Native API"
OIP = "Open Inference Protocol"
REPOSITORY = "Model repository"
SHARED_MEMORY = "System shared memory"
STATE = "State"

LOOKUP = (404, 503)
COMPUTE = (400, 404, 413, 429, 503)
CHANGE = (400, 403, 404)


@dataclass(frozen=True)
class Operation:
    """One method of a path; names in braces become parameters. Bodies and answers are one of the models, in JSON."""

    tag: str
    method: str
    path: str
    id: str
    summary: str
    answer: tuple[type[BaseModel], ...] = ()
    body: tuple[type[BaseModel], ...] = ()
    errors: tuple[int, ...] = ()
    """Beside those that any operation may be answered with: 401 and 405."""
    open: bool = False
    """Whether it needs no API key."""
    body_required: bool = True
    not_ready: type[BaseModel] | None = None
    """What is answered with 503, where that is not an error."""
    native: bool = False
    """Whether image files are taken too, as the body or in a form, and plain text."""
    raw: bool = False
    """Whether raw tensors may follow the JSON, in both directions."""
    text: bool = False
    """Whether the answer is text."""


def _native(path: str, name: str, summary: str) -> Operation:
    return Operation(
        NATIVE, "post", path, name, summary,
        (schemas.Prediction, schemas.Predictions, schemas.Outputs),
        (schemas.ImageBody, schemas.ImagesBody, schemas.TextBody, schemas.TextsBody, schemas.TensorsBody),
        COMPUTE, native=True,
    )  # fmt: skip


def _of_model(path: str, suffix: str) -> tuple[Operation, ...]:
    def get(below: str, name: str, summary: str, answer: type[BaseModel]) -> Operation:
        return Operation(OIP, "get", path + below, name + suffix, summary, (answer,), errors=LOOKUP)

    ready = "Whether a model takes traffic"
    return (
        get("", "model_metadata", "A model's tensors, and what serves it", oip.ModelMetadata),
        get("/config", "model_config", "Triton's model configuration", oip.ModelConfiguration),
        get("/stats", "model_statistics", "A model's counts and times", oip.Statistics),
        Operation(
            OIP, "get", f"{path}/ready", f"model_ready{suffix}", ready, (oip.ModelReady,),
            errors=(404,), not_ready=oip.ModelReady,
        ),
        Operation(
            OIP, "post", f"{path}/infer", f"infer{suffix}", "Tensors through a model",
            (oip.InferenceResponse,), (oip.InferenceRequest,), COMPUTE, raw=True,
        ),
    )  # fmt: skip


def _change(tag: str, path: str, name: str, summary: str, body: type[BaseModel] | None = None) -> Operation:
    shared = tag == SHARED_MEMORY
    errors = (*CHANGE, 501) if shared else CHANGE
    bodies = (body,) if body is not None else ()
    return Operation(tag, "post", path, name, summary, (oip.Done,), bodies, errors, body_required=shared)


_SERVER = (
    Operation(OIP, "get", "/v2", "server_metadata", "The server, and the extensions it speaks", (oip.ServerMetadata,)),
    Operation(OIP, "get", "/v2/health/live", "server_live", "Whether the process lives", (oip.ServerLive,), open=True),
    Operation(
        OIP, "get", "/v2/health/ready", "server_ready", "Whether every model takes traffic", (oip.ServerReady,),
        open=True, not_ready=oip.ServerReady,
    ),
    Operation(OIP, "get", "/v2/models/stats", "statistics", "Counts and times of all models", (oip.Statistics,)),
)  # fmt: skip
_REPOSITORY = (
    Operation(
        REPOSITORY, "post", "/v2/repository/index", "repository_index", "What is served, or could be",
        (oip.RepositoryIndex,), (oip.IndexRequest,), (400, 403), body_required=False,
    ),
    _change(
        REPOSITORY, "/v2/repository/models/{name}/load", "load",
        "Load a model, or its current version in place of the old", oip.LoadRequest,
    ),
    _change(
        REPOSITORY, "/v2/repository/models/{name}/unload", "unload",
        "Finish what was accepted, and take a model out", oip.UnloadRequest,
    ),
)  # fmt: skip
_REGION = "/v2/systemsharedmemory/region/{region}"
_SHARED_MEMORY = (
    Operation(
        SHARED_MEMORY, "get", "/v2/systemsharedmemory/status", "regions", "All regions", (oip.Regions,), errors=(501,)
    ),
    Operation(
        SHARED_MEMORY, "get", f"{_REGION}/status", "region", "One region", (oip.Regions,), errors=(400, 404, 501)
    ),
    _change(SHARED_MEMORY, f"{_REGION}/register", "register", "Open a region", oip.RegisterRequest),
    _change(SHARED_MEMORY, f"{_REGION}/unregister", "unregister", "Close a region"),
    _change(SHARED_MEMORY, "/v2/systemsharedmemory/unregister", "unregister_all", "Close all"),
)
_STATE = (
    Operation(
        STATE, "get", "/energy", "energy", "What each device used, and each model of it",
        (oip.EnergyLedger,), errors=(403,),
    ),
    Operation(STATE, "get", "/metrics", "metrics", "Prometheus metrics", text=True),
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    _native("/predict", "predict", "Images, texts or tensors through the only model"),
    _native("/models/{name}/predict", "predict_model", "Images, texts or tensors through a model"),
    *_SERVER,
    *_of_model("/v2/models/{name}", ""),
    *_of_model("/v2/models/{name}/versions/{version}", "_version"),
    *_REPOSITORY,
    *_SHARED_MEMORY,
    *_STATE,
)
