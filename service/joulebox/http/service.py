"""The BentoML service. BentoML starts its workers from this module, since it defines the service."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import bentoml
from prometheus_client import CollectorRegistry
from pydantic import Field

from joulebox.energy import open_sources
from joulebox.http.container import IMAGE
from joulebox.http.front import Front
from joulebox.http.predict import Prediction
from joulebox.metrics import Metrics
from joulebox.runtime.repository import Repository
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import load_settings


class FrontedService(bentoml.Service[Any]):
    """A BentoML service whose ASGI application lies behind ours."""

    front: Front

    def to_asgi(self, is_main: bool = True) -> Front:
        logging.getLogger("joulebox").setLevel(
            logging.INFO
        )  # BentoML has set handlers up, and shows warnings of others
        settings = load_settings(os.environ, Path.cwd())
        metrics = Metrics(CollectorRegistry())
        repository = Repository(settings, metrics)
        sampler = Sampler(open_sources(os.environ, threads=settings.threads), repository, metrics)
        self.front = Front(super().to_asgi(is_main), settings, repository, sampler, metrics)
        return self.front


@bentoml.service(name="joulebox", service_class=FrontedService, image=IMAGE)
class InferenceService:
    """Small models with the joules of each inference. Raw tensors go to /v2 (Open Inference Protocol)."""

    bento_service: FrontedService  # set by BentoML

    @bentoml.api(route="/predict")
    async def predict(self, image: Annotated[str, Field(description="Base64 of a PNG or JPEG file")]) -> Prediction:
        """Classify one image.

        The same path takes the image file itself as the body (`image/png`, `image/jpeg`, …), as the field `image` of a
        multipart form, or as nested lists of pixels in JSON.
        """
        return Prediction.model_validate(await self.bento_service.front.predict_json({"image": image}))

    def __is_ready__(self) -> bool:
        return self.bento_service.front.ready
