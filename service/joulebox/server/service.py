"""The BentoML service. BentoML starts its workers from this module, since it defines the service."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml._internal.service.openapi.specification import OpenAPISpecification
from prometheus_client import CollectorRegistry
from pydantic import Field

from joulebox.access import open_access
from joulebox.access.logs import configure_logging
from joulebox.energy import Sources, open_sources, with_ticks
from joulebox.http.front import Front
from joulebox.http.openapi import document
from joulebox.http.schemas import Prediction
from joulebox.metrics import Metrics
from joulebox.oip.dataplane import Dataplane
from joulebox.runtime.calibrated import calibrated
from joulebox.runtime.fleet import open_fleet
from joulebox.runtime.keeper import Keeper
from joulebox.runtime.rates import rates_of
from joulebox.runtime.regions import Regions
from joulebox.runtime.repository import Repository
from joulebox.runtime.rungs import most_threads
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import load_settings
from joulebox.server.container import IMAGE
from joulebox.server.life import Life

Base64 = Annotated[str, Field(description="Base64 of a PNG or JPEG file")]


class FrontedService(bentoml.Service[Any]):
    """A BentoML service whose ASGI application lies behind ours."""

    front: Front

    def to_asgi(self, is_main: bool = True) -> Front:
        settings = load_settings(os.environ, Path.cwd())
        configure_logging(settings.log_format, access_log=settings.access_log)  # before BentoML builds its own
        access = open_access(settings, os.environ)
        metrics = Metrics(CollectorRegistry())
        worker = int(os.environ.get("JOULEBOX_WORKER_ID") or bentoml.server_context.worker_index or 1)
        fleet = open_fleet(settings.run_folder, worker, settings.workers)
        repository = Repository(settings, metrics, fleet)
        keeper = Keeper(settings, repository, metrics)
        sampler = Sampler(
            partial(_open_sources, most_threads(settings)), repository, metrics, keeper, rates_of(settings)
        )
        regions = Regions(settings.shared_memory, fleet.folder)
        dataplane = Dataplane(repository, sampler, regions)
        life = Life(settings, os.environ.get("JOULEBOX_HOST", "127.0.0.1"), access, dataplane)
        self.front = Front(super().to_asgi(is_main), settings, access, dataplane, life)
        return self.front

    @property
    def openapi_spec(self) -> OpenAPISpecification:
        return self._document

    @cached_property
    def _document(self) -> OpenAPISpecification:
        return document(super().openapi_spec)  # 30 ms, which would hold up the event loop each time


def _open_sources(threads: int, cpu_s: Callable[[], float], ticks: Mapping[str, float | None]) -> Sources:
    return calibrated(with_ticks(open_sources(os.environ, threads=threads, cpu_s=cpu_s), ticks), os.environ)


@bentoml.service(name="joulebox", service_class=FrontedService, image=IMAGE)
class InferenceService:
    """Small models with the joules of each inference. Raw tensors go to /v2 (Open Inference Protocol)."""

    bento_service: FrontedService  # set by BentoML

    @bentoml.api(route="/predict")
    async def predict(self, image: Base64 | None = None, text: str | None = None) -> Prediction:
        """Classify one image, or one text, with the only model.

        The path takes more than a signature of BentoML's can say, and our outer application answers it:
        `operations.py` lists it, and /docs.json has it.
        """
        return await self._predict("/predict", image, text)

    @bentoml.api(route="/models/{name}/predict")
    async def predict_model(self, name: str, image: Base64 | None = None, text: str | None = None) -> Prediction:
        """Classify one image, or one text, with the model of that name."""
        return await self._predict(f"/models/{name}/predict", image, text)

    async def _predict(self, path: str, image: str | None, text: str | None) -> Prediction:
        content = {key: value for key, value in (("image", image), ("text", text)) if value is not None}
        return Prediction.model_validate(await self.bento_service.front.predict_json(content, path))

    def __is_ready__(self) -> bool:
        return self.bento_service.front.ready
