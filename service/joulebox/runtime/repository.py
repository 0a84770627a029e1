"""The models that this server serves, by name: brought up, swapped and taken out, in all workers alike.

A name in a request is looked up among the packages that the operator has configured; it never becomes part of a path.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from joulebox.metrics import Metrics
from joulebox.runtime.errors import BadRequest, LoadError, NotFound, ServeError
from joulebox.runtime.fleet import Fleet, Wanted
from joulebox.runtime.launcher import Launcher
from joulebox.runtime.model import Model
from joulebox.runtime.records import NOTHING, Records, Totals, read_records
from joulebox.runtime.settings import Settings
from joulebox.runtime.sources import configured, loadable

log = logging.getLogger("joulebox.repository")

FOLLOW_S = 0.05  # how often a worker looks whether something else is wanted
SETTLE_S = 120.0  # for all workers to have done a change
RETRY_S = 1.0  # after a change could not be followed


class Repository:
    """What is served by this worker, which follows what is wanted of all."""

    def __init__(self, settings: Settings, metrics: Metrics, fleet: Fleet) -> None:
        self.models: dict[str, Model] = {}
        self.fleet = fleet
        self.records = Records(fleet.work_file)
        self.draining = False
        self.settled = False
        """Whether each model that was wanted at the start is ready or has failed."""
        self._settings = settings
        self.metrics = metrics
        self._launcher = Launcher(settings, metrics, self.records)
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        self._drains: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether every worker serves all that is wanted."""
        return not self.draining and self.fleet.ready

    async def run(self) -> None:
        """Brings the models up, then follows what is wanted, until cancelled."""
        async with self.fleet.changing():
            wanted = self.fleet.wanted()
            if wanted is None:
                wanted = Wanted(1, await asyncio.to_thread(configured, self._settings))
                self.fleet.want(wanted)
        await self._follow(wanted)
        self.settled = True
        while True:
            await asyncio.sleep(FOLLOW_S)
            if self.fleet.changed():
                await self._follow(wanted)

    def get(self, name: str, version: str | None = None) -> Model:
        """The model of that name.

        Raises:
            NotFound: there is none, or not in that version.
        """
        model = self.models.get(name)
        if model is None:
            raise NotFound(f"Request for unknown model: {name[:80]!r} is not found{self._why(name)}")
        if version and version != model.version:
            raise NotFound(
                f"Request for unknown model: {name!r} version {version[:80]!r} is not found; served is {model.version}"
            )
        return model

    def only(self) -> Model:
        """The model, where there is one alone.

        Raises:
            NotFound: there are none or several.
        """
        if len(self.models) != 1:
            names = ", ".join(sorted(self.models)) or "none"
            raise NotFound(f"this server has {len(self.models)} models ({names}); use /models/NAME/predict")
        return next(iter(self.models.values()))

    async def index(self) -> list[dict[str, Any]]:
        """Served versions, those that failed with why, and packages that could be loaded."""
        entries = [_entry(model.name, model.version, "READY", "") for model in self.models.values()]
        failed = self._launcher.failed
        entries += [_entry(name, each.version, "UNAVAILABLE", each.reason) for name, each in failed.items()]
        known = self.models.keys() | failed.keys()
        for name, package in (await asyncio.to_thread(loadable, self._settings)).items():
            if name not in known:
                entries.append(_entry(name, package.manifest.version, "UNAVAILABLE", "unloaded"))
        return sorted(entries, key=lambda entry: (entry["name"], entry["state"]))

    async def load(self, name: str) -> None:
        """Brings a configured package up, or its current version in place of the one that is served.

        Raises:
            NotFound: no package of that name is configured.
            BadRequest: it did not become ready; what was served still is.
            ServeError: another worker could not do the same.
        """
        await self._whole(self._load(name))

    async def unload(self, name: str) -> None:
        """Takes a model out of all workers, once it has answered what it has accepted.

        Raises:
            NotFound: no such model is served.
            ServeError: another worker has not reported that it did the same.
        """
        await self._whole(self._unload(name))

    async def _whole(self, change: Coroutine[Any, Any, None]) -> None:
        """A change that has begun comes to its end, also where nobody waits for it any more."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        try:
            await asyncio.shield(task)
        except OSError as error:
            raise ServeError(f"the run folder cannot be used ({error.strerror})") from error

    async def _load(self, name: str) -> None:
        async with self.fleet.changing():
            package = (await asyncio.to_thread(loadable, self._settings)).get(name)
            if package is None:
                raise NotFound(f"failed to load {name[:80]!r}: no package of that name is configured")
            async with self._changing:
                fresh = None
                if not self._serves(name, str(package.folder)):
                    try:
                        fresh = await self._launcher.bring_up(name, package.folder)
                    except LoadError as error:
                        raise BadRequest(f"failed to load {name!r}: {error}") from error
                wanted = self._want({**self._wanted().models, name: str(package.folder)}, undo=fresh)
                if fresh is not None:
                    self._replace(fresh)
                self._launcher.forget(name)
                self._report(wanted)
            await self._settled(wanted, name)

    async def _unload(self, name: str) -> None:
        async with self.fleet.changing():
            async with self._changing:
                models = dict(self._wanted().models)
                if models.pop(name, None) is None:
                    raise NotFound(f"failed to unload {name[:80]!r}: it is not served")
                wanted = self._want(models)
                drain = self._retire(name)
                self._launcher.forget(name)
                self._report(wanted)
            await self._settled(wanted, name)
        if drain is not None:
            await asyncio.wait([drain], timeout=self._settings.drain_timeout_s)

    def totals(self, model: Model) -> Totals:
        """What all workers have done for this version."""
        model.flush()
        key = (model.name, model.version)
        return sum((worker.totals(key) for worker in read_records(self.fleet.folder)), NOTHING)

    async def drain(self) -> None:
        """Takes no more traffic and waits for the answers under way."""
        self.draining = True
        await asyncio.gather(*self._drains, *(model.drain() for model in self.models.values()))

    async def _follow(self, first: Wanted) -> None:
        """Makes it so, and goes on trying where the run folder takes no report, as while its disk is full."""
        while True:
            try:
                return await self._make_so(first)
            except OSError as error:
                log.error("what is served could not be reported to the other workers: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _make_so(self, first: Wanted) -> None:
        """Serves what is wanted by now; `first` is what was wanted at the start."""
        async with self._changing:
            wanted = self.fleet.wanted() or first
            for name, folder in wanted.models.items():
                if not self._serves(name, folder):
                    try:
                        self._replace(await self._launcher.bring_up(name, Path(folder)))
                    except LoadError:
                        continue  # noted, and reported below
            for name in self.models.keys() - wanted.models.keys():
                self._retire(name)
            self._report(wanted)
        _settle_garbage()

    def _replace(self, fresh: Model) -> None:
        """Serves this version from now on; the one before it answers what it has accepted."""
        self._retire(fresh.name)
        self.models[fresh.name] = fresh
        self._launcher.forget(fresh.name)

    def _retire(self, name: str) -> asyncio.Task[None] | None:
        model = self.models.pop(name, None)
        if model is None:
            return None
        task = asyncio.create_task(model.drain())
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)
        return task

    def _wanted(self) -> Wanted:
        return self.fleet.wanted() or Wanted(0, {})

    def _want(self, models: dict[str, str], undo: Model | None = None) -> Wanted:
        """Tells all workers; `undo` is what was brought up in vain where that fails."""
        wanted = Wanted(self._wanted().generation + 1, models)
        try:
            self.fleet.want(wanted)
        except OSError as error:
            if undo is not None:
                undo.release()
                undo.enter_unloaded()
            raise ServeError(f"the change could not be written ({error.strerror}); nothing was changed") from error
        return wanted

    def _report(self, wanted: Wanted) -> None:
        """A model is ready in whatever version, but each that is not the wanted one is told with its reason."""
        failed = self._launcher.failed
        others = [name for name, folder in wanted.models.items() if not self._serves(name, folder)]
        failures = {name: failed[name].reason if name in failed else "not loaded" for name in others}
        ready = all(name in self.models for name in wanted.models)
        self.fleet.report(wanted.generation, ready=ready, failures=failures)

    def _serves(self, name: str, folder: str) -> bool:
        served = self.models.get(name)
        return served is not None and str(served.package.folder) == folder

    async def _settled(self, wanted: Wanted, name: str) -> None:
        try:
            reports = await self.fleet.settled(wanted.generation, SETTLE_S)
        except TimeoutError as error:
            raise ServeError(str(error)) from error
        failed = [f"worker {report.worker}: {report.failures[name]}" for report in reports if name in report.failures]
        if failed:
            raise ServeError(f"{name!r} is not served by all workers: {'; '.join(failed)}")

    def _why(self, name: str) -> str:
        failed = self._launcher.failed.get(name)
        if failed is not None:
            return f": {failed.reason}"
        return f"; this server has {', '.join(sorted(self.models)) or 'none'}"


def _entry(name: str, version: str, state: str, reason: str) -> dict[str, Any]:
    return {"name": name, "version": version, "state": state, "reason": reason}


def _settle_garbage() -> None:
    """Takes what was just loaded out of the collector's sight: a full collection over it stops the loop for some 0.2 s."""
    gc.collect()
    gc.freeze()
