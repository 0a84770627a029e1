"""From a package's folder to a model that is ready, or to a failure that is kept with its reason."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from joulebox.metrics import Metrics
from joulebox.package import PackageError, open_package
from joulebox.runtime.errors import LoadError
from joulebox.runtime.model import Model, State
from joulebox.runtime.records import Records
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.repository")


@dataclass(frozen=True)
class Failed:
    """A version that did not become ready."""

    model: Model | None
    version: str
    reason: str


class Launcher:
    """Brings versions up, and knows of each name why the last one did not come up."""

    def __init__(self, settings: Settings, metrics: Metrics, records: Records) -> None:
        self.failed: dict[str, Failed] = {}
        self._settings = settings
        self._metrics = metrics
        self._records = records

    async def bring_up(self, name: str, folder: Path) -> Model:
        """A model that is ready and not yet served.

        Raises:
            LoadError: it did not become ready, which is noted with its reason.
        """
        model = None
        try:
            package = await asyncio.to_thread(open_package, folder)
            if package.manifest.name != name:
                raise LoadError(
                    f"{folder}: a model named {package.manifest.name!r} is served already or is not {name!r}",
                    "duplicate",
                )
            model = Model(package, self._settings, self._metrics, self._records)
            await asyncio.to_thread(model.load)
        except Exception as error:  # whatever it is, the other models shall serve
            reason = error.reason if isinstance(error, LoadError) else "package"
            if not isinstance(error, (LoadError, PackageError, OSError, MemoryError)):
                log.exception("loading %s failed", name)
                reason = "unknown"
            self._note(name, model, str(error), reason)
            raise LoadError(str(error), reason) from error
        running = model.running
        log.info(
            "%s %s is ready on %s (%s); %.3g ms each, batches of up to %d",
            name,
            model.version,
            running.variant.name,
            running.engine.name,
            1e3 * running.plan.item_s,
            running.plan.batch_max,
        )
        return model

    def forget(self, name: str) -> None:
        """Whatever failed by that name is of no interest any more."""
        failed = self.failed.pop(name, None)
        if failed is not None and failed.model is not None:
            failed.model.enter_unloaded()

    def _note(self, name: str, model: Model | None, message: str, reason: str) -> None:
        log.error("%s is not served: %s", name, message)
        if model is None or model.state is not State.FAILED:
            self._metrics.load_failures.labels(name[:64], reason).inc()
        if model is not None:
            model.release()
        self.forget(name)
        self.failed[name] = Failed(model, model.version if model else "", message)
