"""The protocol's operations, which REST and gRPC both call."""

from __future__ import annotations

import time
from typing import Any

import joulebox
from joulebox.oip.call import Answer, Call, answer_tensors
from joulebox.oip.statistics import statistics
from joulebox.runtime.batch import Inference
from joulebox.runtime.errors import BadRequest
from joulebox.runtime.model import Model, State
from joulebox.runtime.regions import Regions
from joulebox.runtime.repository import Repository
from joulebox.runtime.sampler import Sampler

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]
SHARED_MEMORY = "system_shared_memory"


class Dataplane:
    """What this server does for a client, whatever it speaks."""

    def __init__(self, repository: Repository, sampler: Sampler, regions: Regions) -> None:
        self.repository = repository
        self.regions = regions
        self.sampler = sampler

    @property
    def ready(self) -> bool:
        """Whether every model of every worker takes traffic."""
        return self.repository.ready

    def server_metadata(self) -> dict[str, Any]:
        shared = [SHARED_MEMORY] if self.regions.enabled else []
        return {"name": "joulebox", "version": joulebox.__version__, "extensions": EXTENSIONS + shared}

    def model_ready(self, name: str, version: str | None = None) -> bool:
        """Whether the model takes traffic.

        Raises:
            NotFound: there is none of that name and version.
        """
        return self.repository.get(name, version).state is State.READY

    def model_metadata(self, name: str, version: str | None = None) -> dict[str, Any]:
        """What the protocol says of a model, and in `parameters` what serves it and which variants were passed over.

        Raises:
            NotFound, NotReady: see `Repository.get`.
        """
        model = self.repository.get(name, version)
        manifest, running = model.package.manifest, model.running
        return {
            "name": model.name,
            "versions": [model.version],
            "platform": f"{running.engine.name}_onnx",
            "inputs": [spec.model_dump() for spec in manifest.inputs],
            "outputs": [spec.model_dump() for spec in manifest.outputs],
            "parameters": {
                "engine": running.engine.name,
                "variant": running.variant.name,
                "precision": running.variant.precision,
                "device": running.engine.device,
                "threads": running.rung.threads,
                "tuned": running.rung.tuned,
                "batch_max": running.plan.batch_max,
                "batch_delay_ms": 1e3 * running.plan.delay_s,
                "fallbacks": [
                    {"from": step.from_variant, "to": step.to_variant, "reason": step.reason}
                    for step in model.fallbacks
                ],
            },
        }

    def model_config(self, name: str, version: str | None = None) -> dict[str, Any]:
        """Triton's model configuration, as far as it says something here.

        Raises:
            NotFound, NotReady: see `Repository.get`.
        """
        model = self.repository.get(name, version)
        manifest, running = model.package.manifest, model.running
        batch_max = max(1, running.plan.batch_max) if manifest.batched else 0
        skip = 1 if manifest.batched else 0

        def tensors(specs: Any) -> list[dict[str, Any]]:
            return [
                {"name": spec.name, "data_type": f"TYPE_{_config_type(spec.datatype)}", "dims": spec.shape[skip:]}
                for spec in specs
            ]

        config: dict[str, Any] = {
            "name": model.name,
            "platform": f"{running.engine.name}_onnx",
            "backend": running.engine.name,
            "max_batch_size": batch_max,
            "input": tensors(manifest.inputs),
            "output": tensors(manifest.outputs),
            "instance_group": [{"name": running.variant.name, "count": 1, "kind": "KIND_CPU"}],
        }
        if batch_max > 1:
            delay_us = round(1e6 * running.plan.delay_s)
            config["dynamic_batching"] = {"max_queue_delay_microseconds": delay_us}
        return config

    def statistics(self, name: str | None = None, version: str | None = None) -> dict[str, Any]:
        """The statistics extension, over all workers, since each version was loaded.

        Raises:
            NotFound, NotReady: see `Repository.get`.
        """
        models = [self.repository.get(name, version)] if name else list(self.repository.models.values())
        return {"model_stats": [statistics(model, self.repository.totals(model)) for model in models]}

    async def index(self, *, ready: bool = False) -> list[dict[str, Any]]:
        """Every model that is served or could be loaded: name, version, state, reason."""
        return [entry for entry in await self.repository.index() if not ready or entry["state"] == "READY"]

    async def load(self, name: str, parameters: dict[str, Any]) -> None:
        """Loads a model, or its current version in place of the one that is served; done when all workers have it.

        Raises:
            NotFound: no package of that name is configured.
            BadRequest: it does not become ready, or there are parameters; what was served before still is.
        """
        if parameters:
            raise BadRequest(
                f"load of {name[:80]!r} has parameters {sorted(parameters)[:4]}; a model package is sealed and takes none"
            )
        await self.repository.load(name)

    async def unload(self, name: str) -> None:
        """Lets a model finish what it has accepted, and takes it out of all workers.

        Raises:
            NotFound: no such model is served.
        """
        await self.repository.unload(name)

    async def infer(self, model: Model, call: Call) -> Answer:
        """Computes a call.

        Raises:
            NotReady, Overloaded, Expired, BadRequest: see `Model.infer`.
        """
        deadline_s = None if call.timeout_s is None else time.perf_counter() + call.timeout_s
        return self._answer(model, call, await model.infer(call.inputs, deadline_s=deadline_s))

    def infer_now(self, model: Model, call: Call, *, alone: bool = False) -> Answer | None:
        """Computes a call on the spot, where that pays; else None, and `infer` is the way.

        Args:
            alone: whether nobody else waits for the event loop; a deadline still may have it otherwise.

        Raises:
            NotReady, BadRequest: see `Model.infer`.
        """
        inference = model.infer_now(call.inputs, alone=alone and call.timeout_s is None)
        return None if inference is None else self._answer(model, call, inference)

    def _answer(self, model: Model, call: Call, inference: Inference) -> Answer:
        tensors = answer_tensors(model, call, inference)
        return Answer(model, inference, tensors, self.sampler.provisional(model, inference))


def _config_type(datatype: str) -> str:
    return "STRING" if datatype == "BYTES" else datatype
