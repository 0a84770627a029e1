"""What an operator can set: each field by the environment variable `JOULEBOX_<FIELD>`, which the command line sets too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import pathsep
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from joulebox.package.manifest import EngineName
from joulebox.runtime.budget import parse_budgets

PREFIX = "JOULEBOX_"
THREADS = 1  # more of them burn more joules for an answer, and keep other workers from the cores
SHIPPED = "models/*/package"  # in a checkout and in a bento


class SettingError(ValueError):
    """A setting is not what it should be."""


def _checked_budgets(text: str) -> str:
    try:
        parse_budgets(text)
    except ValueError as error:
        raise PydanticCustomError("energy_budgets", "{reason}", {"reason": str(error)}) from error
    return text


class Settings(BaseModel):
    """The server's settings. A 0 where a limit is expected means none, and each such field says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    packages: tuple[Path, ...] = Field((), description="packages to serve, separated by `:`")
    repository: Path | None = Field(None, description="a folder of packages that may be loaded by name")
    workers: Annotated[int, Ge(1), Le(256)] = Field(1, description="worker processes")
    threads: Annotated[int, Ge(0), Le(1024)] | None = Field(
        None, description="threads of each engine; 0 leaves it to the engine; unset is as tuned, else 1"
    )
    strict: EngineName | None = Field(
        None,
        description="the engine that has to serve every model; `joulebox serve` does not start where it cannot, and nothing else is tried",
    )
    grpc_port: Annotated[int, Ge(0), Le(65535)] = Field(0, description="port for gRPC; 0 is off")

    queue_size: Annotated[int, Ge(1), Le(1_000_000)] = Field(
        256, description="requests that may wait for one model; more get 503 with `Retry-After`"
    )
    batch_max: Annotated[int, Ge(0), Le(4096)] = Field(
        0, description="most items computed at once; 0 is what pays off by the measurement at warm-up"
    )
    batch_delay_ms: Annotated[float, Ge(0), Le(10_000)] | None = Field(
        None, description="how long a batch may wait to become fuller; unset is what pays off by that measurement"
    )
    energy_budgets: Annotated[str, AfterValidator(_checked_budgets)] | None = Field(
        None, description="what models may use, such as `fashion=2mJ,*=3W/5m`; see budget.md"
    )
    energy_saving_ms: Annotated[float, Ge(0), Le(10_000)] = Field(
        0,
        description="how long a batch may wait to save energy where a budget is exceeded and waiting is measured to help; 0 is off",
    )
    timeout_s: Annotated[float, Gt(0), Le(86_400)] = Field(
        30.0, description="a request that is not computed by then is refused; a request may ask for less"
    )
    body_bytes_max: Annotated[int, Ge(1024), Le(2**31)] = Field(16 * 2**20, description="larger bodies get 413")
    inflight_bytes_max: Annotated[int, Ge(1024), Le(2**40)] = Field(
        256 * 2**20, description="of all bodies being read or answered in one worker; more get 503"
    )
    client_inflight_max: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        0, description="requests of one client (API key, else address) at once; more get 429; 0 is no limit"
    )
    connections_max: Annotated[int, Ge(1), Le(1_000_000)] = Field(
        4096, description="open connections of one worker; more are closed at once"
    )
    header_timeout_s: Annotated[float, Gt(0), Le(3600)] = Field(10.0, description="for a request's headers to be whole")
    body_timeout_s: Annotated[float, Gt(0), Le(3600)] = Field(60.0, description="for a request's body to be whole")
    idle_timeout_s: Annotated[float, Gt(0), Le(86_400)] = Field(
        60.0, description="after which a connection without requests is closed"
    )
    drain_timeout_s: Annotated[float, Ge(0), Le(86_400)] = Field(
        30.0, description="for answers under way when asked to stop"
    )

    expose_energy: bool = Field(False, description="energy figures to clients beyond this machine")
    carbon_region: str | None = Field(
        None, description="where the electricity comes from, such as `DE` or `US-CA`: grams of CO2e by a table"
    )
    carbon_intensity: Annotated[float, Ge(0), Le(10_000)] | None = Field(
        None, description="grams of CO2e for each kWh, which wins over the region's"
    )
    price_kwh: Annotated[float, Ge(0), Le(1_000_000)] | None = Field(None, description="price of a kWh")
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(
        None, description="what the price is in: three capitals, such as `EUR`"
    )
    embodied_kg: Annotated[float, Gt(0), Le(1e9)] | None = Field(
        None, description="kg of CO2e that making the whole host caused"
    )
    lifetime_years: Annotated[float, Gt(0), Le(100)] | None = Field(
        None, description="years that the host is used for, over which these are spread"
    )
    shared_memory: bool = Field(False, description="clients on this machine may hand tensors over in shared memory")
    repository_control: Literal["local", "keyed", "off"] = Field(
        "local", description="who may load and unload: clients on this machine, any with an API key, or nobody"
    )
    api_keys: str | None = Field(None, description="API keys, separated by commas", repr=False)
    api_keys_file: Path | None = Field(None, description="a file of API keys, read again when it changes")
    ssl_certfile: Path | None = Field(None, description="TLS certificate")
    ssl_keyfile: Path | None = Field(None, description="its key")
    ssl_keyfile_password: str | None = Field(None, description="the key's password", repr=False)
    ssl_ca_certs: Path | None = Field(None, description="CA certificates; clients then need one of theirs")
    log_format: Literal["text", "json"] = Field("text", description="log lines for people or for programs")
    access_log: bool = Field(False, description="a log line for each request")
    run_folder: Path | None = Field(None, description="where the workers of one server meet; `joulebox serve` makes it")

    @property
    def threads_untuned(self) -> int:
        """Of what was not tuned."""
        return THREADS if self.threads is None else self.threads

    def threads_for(self, tuned: int | None) -> int:
        """As set, else as tuned, or fewer where all workers together have not as many cores."""
        if self.threads is not None or tuned is None:
            return self.threads_untuned
        return min(tuned, max(1, (os.cpu_count() or 1) // self.workers))


def load_settings(environment: Mapping[str, str], folder: Path) -> Settings:
    """Reads the settings; without `JOULEBOX_PACKAGES`, the packages that lie in `folder`'s models.

    Raises:
        SettingError: a value is malformed or out of range.
    """
    given: dict[str, Any] = {
        field: environment[variable(field)] for field in Settings.model_fields if environment.get(variable(field))
    }
    named = [Path(part) for part in given.get("packages", "").split(pathsep) if part]
    given["packages"] = named or ([] if "repository" in given else sorted(folder.glob(SHIPPED)))
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0])
        raise SettingError(
            f"{variable(field)}={str(given.get(field))[:80]!r}: {problem['msg'][0].lower()}{problem['msg'][1:]};"
            f" it is: {Settings.model_fields[field].description}"
        ) from error


def variable(field: str) -> str:
    """The environment variable that sets a field."""
    return PREFIX + field.upper()
