"""The model that is measured: what the server's metadata says of it, and its energy ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, Field, ValidationError

from joulebox.bench.connection import Address, Connection, ask
from joulebox.bench.errors import BenchError, UsageError
from joulebox.package import TensorSpec


class _Tensor(BaseModel):
    """As other servers than ours may say it, with keys that we don't know."""

    name: str
    datatype: str
    shape: list[int]


class _Metadata(BaseModel):
    name: str
    versions: list[str] = []
    inputs: list[_Tensor] = Field(min_length=1)
    parameters: dict[str, Any] = {}


@dataclass(frozen=True)
class Target:
    """A model on a running server."""

    name: str
    version: str | None
    inputs: list[TensorSpec]
    served_by: str | None
    """Variant and engine, where the server says so."""


async def find_target(connection: Connection, address: Address, name: str | None) -> Target:
    """The model of that name, or the server's only one.

    Raises:
        UsageError: there is no such model, or several.
        BenchError: the server gives no answer, or one that is not the protocol's.
    """
    name = name or await _only(connection, address)
    status, content = await ask(connection, address, "GET", f"/v2/models/{name}")
    if status != 200:
        raise UsageError(f"model {name!r}: {_said(content) or f'the server answers {status}'}")
    try:
        found = _Metadata.model_validate(content)
        inputs = [TensorSpec.model_validate(tensor.model_dump()) for tensor in found.inputs]
    except ValidationError as error:
        problem = error.errors()[0]
        raise BenchError(
            f"the metadata of model {name!r} is not the Open Inference Protocol's: "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        ) from error
    stated = [str(found.parameters[key]) for key in ("variant", "engine") if key in found.parameters]
    return Target(name, found.versions[-1] if found.versions else None, inputs, ", ".join(stated) or None)


async def _only(connection: Connection, address: Address) -> str:
    status, content = await ask(connection, address, "POST", "/v2/repository/index", {})
    said, rows = _said(content), cast("list[Any]", content) if isinstance(content, list) else []
    names = sorted({str(cast("dict[str, Any]", row).get("name")) for row in rows if isinstance(row, dict)})
    if status != 200 or not names:
        raise UsageError(f"the server does not say which models it has ({said or status}); name one with --model")
    if len(names) > 1:
        raise UsageError(f"the server has {len(names)} models; name one of {', '.join(names)} with --model")
    return names[0]


@dataclass(frozen=True)
class Ledger:
    """What a server's `/energy` has booked for a model, over all devices."""

    joules: float
    inferences: int
    sources: tuple[str, ...]


async def read_ledger(connection: Connection, address: Address, target: Target) -> Ledger | None:
    """None where the server has no ledger, does not show it, or no longer answers."""
    try:
        status, content = await ask(connection, address, "GET", "/energy")
    except BenchError:
        return None
    if status != 200 or not isinstance(content, dict):
        return None
    rows = cast("dict[str, Any]", content).get("models")
    try:
        own = [
            (float(row["dynamic_joules"]), int(row["inferences"]), str(row["source"]))
            for row in cast("list[dict[str, Any]]", rows)
            if row["model"] == target.name and target.version in (None, row["version"])
        ]
    except (KeyError, TypeError, ValueError):  # another server's /energy, or a figure that is not known
        return None
    inferences = max((row[1] for row in own), default=0)  # each device counts every inference
    return Ledger(sum(row[0] for row in own), inferences, tuple(sorted({row[2] for row in own})))


def _said(content: object) -> str:
    return str(cast("dict[str, Any]", content).get("error", "")) if isinstance(content, dict) else ""
