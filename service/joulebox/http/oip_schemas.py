"""The Open Inference Protocol's and the ledger's JSON, for the OpenAPI document.

https://github.com/kserve/open-inference-protocol, and Triton's extensions in its docs/protocol: model repository,
statistics, binary tensor data.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from joulebox.http.carbon_schemas import CarbonLedger
from joulebox.package.manifest import Datatype

Size = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=0)]
Parameters = dict[str, Any]


class ServerLive(BaseModel):
    live: bool


class ServerReady(BaseModel):
    ready: bool


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class ModelReady(BaseModel):
    name: str
    ready: bool


class TensorMetadata(BaseModel):
    name: str
    datatype: Datatype
    shape: list[Annotated[int, Field(ge=-1)]]


class ModelMetadata(BaseModel):
    """`parameters` says what serves the model, and which variants were passed over."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: Parameters = {}


class ModelConfiguration(BaseModel):
    """Triton's model configuration, as far as it says something here."""

    model_config = ConfigDict(extra="allow")

    name: str
    platform: str
    max_batch_size: Count
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]


class RequestInput(BaseModel):
    name: str
    shape: list[Size]
    datatype: Datatype
    parameters: Parameters = {}
    data: list[Any] = Field([], description="Flat in row-major order, or nested")


class RequestOutput(BaseModel):
    name: str
    parameters: Parameters = {}


class InferenceRequest(BaseModel):
    id: str = ""
    parameters: Parameters = {}
    inputs: Annotated[list[RequestInput], Field(min_length=1)]
    outputs: list[RequestOutput] = Field([], description="All where none is named")


class ResponseOutput(BaseModel):
    name: str
    shape: list[Size]
    datatype: Datatype
    parameters: Parameters = {}
    data: list[Any] = []


class InferenceResponse(BaseModel):
    model_name: str
    model_version: str
    id: str = ""
    parameters: Parameters = {}
    outputs: list[ResponseOutput]


class DurationStatistics(BaseModel):
    count: Count
    ns: Count


class InferenceStatistics(BaseModel):
    model_config = ConfigDict(extra="allow")

    success: DurationStatistics
    fail: DurationStatistics
    queue: DurationStatistics
    compute_infer: DurationStatistics


class BatchStatistics(BaseModel):
    model_config = ConfigDict(extra="allow")

    batch_size: Count
    compute_infer: DurationStatistics


class ModelStatistics(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    version: str
    last_inference: Count = Field(description="Milliseconds since 1970; 0 is never")
    inference_count: Count
    execution_count: Count
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class Statistics(BaseModel):
    model_stats: list[ModelStatistics]


class IndexRequest(BaseModel):
    ready: bool = Field(False, description="Only models that take traffic")


class IndexEntry(BaseModel):
    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


class RepositoryIndex(RootModel[list[IndexEntry]]):
    pass


class LoadRequest(BaseModel):
    parameters: Annotated[Parameters, Field(max_length=0)] | None = Field(
        None, description="None is taken: a model package is sealed"
    )


class UnloadRequest(BaseModel):
    parameters: Parameters | None = None


class Done(BaseModel):
    """Nothing but that it is done."""


class RegisterRequest(BaseModel):
    key: str = Field(description="Name of a POSIX shared memory object, such as /frames")
    offset: Count = 0
    byte_size: Annotated[int, Field(gt=0)]


class Region(BaseModel):
    name: str
    key: str
    offset: Count
    byte_size: Count


class Regions(RootModel[list[Region]]):
    pass


class DeviceLedger(BaseModel):
    """Joules since the device was opened; null where a value is not known."""

    device: str
    reader: str
    source: str
    note: str | None = None
    tick_seconds: float | None
    joules_total: float
    idle_joules: float | None
    unattributed_joules: float
    unattributed: dict[str, float]
    """By reason."""
    unattributed_share: float | None
    idle_watts: float | None
    idle_source: str | None
    """`learnt` while nothing ran, `regression` on busy time, or `calibration`."""
    watts: float | None
    nonlinear: bool
    """Models together use other than the sum of what each uses, as under a power cap."""
    settled: Count
    """Intervals between changes of the counter."""
    gaps: Count
    unknown_seconds: float


class ModelLedger(BaseModel):
    model: str
    version: str
    device: str
    source: str
    inferences: Count
    dynamic_joules: float
    idle_joules: float | None
    joules_per_inference: float | None
    ci95: list[float] | None
    """The 95 % interval of `joules_per_inference`."""
    watts: float | None
    """Mean dynamic power while busy."""


class Unavailable(BaseModel):
    reader: str
    reason: str


class EnergyBudget(BaseModel):
    """What a model may use of dynamic energy, and what it does."""

    model: str
    unit: Literal["joules_per_inference", "watts"]
    limit: float
    window_seconds: float
    figure: float | None
    """Over the window that ends now, of all devices together; null where it is not known."""
    source: str
    over: bool | None
    """Until a whole window was within; null where it cannot be judged."""
    since: str | None
    """When it came to be so."""


class EnergySaving(BaseModel):
    """Whether a model's batches wait longer than usual to save energy, and what a trial of that has shown."""

    model: str
    version: str
    phase: Literal["off", "trying", "on", "not_helping"]
    delay_ms: float
    """What batches wait now at most; 0 is the usual."""
    source: str
    usual_joules_per_inference: float | None
    longer_joules_per_inference: float | None
    gain: float | None
    """What waiting saves, as a part of the usual joules."""
    gain_ci95: list[float] | None


class EnergyLedger(BaseModel):
    devices: list[DeviceLedger]
    models: list[ModelLedger]
    unavailable: list[Unavailable]
    carbon: CarbonLedger | None
    """Null where neither a carbon intensity nor a price nor embodied carbon was set."""
    budgets: list[EnergyBudget]
    savings: list[EnergySaving]
