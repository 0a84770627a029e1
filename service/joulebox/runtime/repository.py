"""The models of this server by name, and their loading."""

from __future__ import annotations

import asyncio
import gc
import logging

from joulebox.metrics import Metrics
from joulebox.package import PackageError, open_package
from joulebox.runtime.errors import LoadError, NotFound
from joulebox.runtime.model import Model, State
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.repository")


class Repository:
    """What is served. A package that cannot be opened is remembered with its reason, and the server is not ready."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.models: dict[str, Model] = {}
        self.failures: list[str] = []
        self._metrics = metrics
        if not settings.packages:
            self._fail(
                "no model package: set JOULEBOX_PACKAGES to one, or name one to `joulebox serve`", "unknown", "missing"
            )
        for path in settings.packages:
            try:
                model = Model(open_package(path), settings, metrics)
            except PackageError as error:
                self._fail(str(error), path.name, "package")
                continue
            if model.name in self.models:
                self._fail(f"{path}: a model named {model.name!r} is served already", model.name, "duplicate")
                continue
            self.models[model.name] = model

    @property
    def ready(self) -> bool:
        return not self.failures and all(model.state is State.READY for model in self.models.values())

    async def load(self) -> None:
        """Loads each model in turn, off the event loop. One that fails does not keep the others from serving."""
        for model in self.models.values():
            try:
                await asyncio.to_thread(model.load)
            except LoadError as error:
                self.failures.append(str(error))
                log.error("%s", error)
            except Exception as error:  # whatever it is, the other models shall serve
                self.failures.append(f"{model.name}: {error}")
                log.exception("loading %s failed", model.name)
            else:
                variant = model.running.variant
                log.info("%s %s is ready on %s (%s)", model.name, model.version, variant.name, variant.engine)
        gc.collect()
        gc.freeze()  # or a full collection over what was just loaded stops the loop for some 0.2 s

    def get(self, name: str, version: str | None = None) -> Model:
        """The model of that name.

        Raises:
            NotFound: there is none, or not in that version.
        """
        model = self.models.get(name)
        if model is None:
            raise NotFound(f"unknown model {name[:80]!r}; this server has {', '.join(sorted(self.models)) or 'none'}")
        if version is not None and version != model.version:
            raise NotFound(f"model {name!r} has no version {version[:80]!r}; this server has {model.version}")
        return model

    def only(self) -> Model:
        """The model, where there is one alone.

        Raises:
            NotFound: there are none or several.
        """
        if len(self.models) != 1:
            raise NotFound(
                f"this server has {len(self.models)} models ({', '.join(sorted(self.models))}); use /models/NAME/predict"
            )
        return next(iter(self.models.values()))

    async def drain(self) -> None:
        await asyncio.gather(*(model.drain() for model in self.models.values()))

    def _fail(self, message: str, name: str, reason: str) -> None:
        log.error("%s", message)
        self.failures.append(message)
        self._metrics.load_failures.labels(name, reason).inc()
