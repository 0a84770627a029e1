"""A package's ladder on this host: as its settings have it, and what `joulebox tune` chose here."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from joulebox.engine import Rung, rungs
from joulebox.host import StateError, Tuning, open_state, read_tuning
from joulebox.package import Package, PackageError, open_package
from joulebox.runtime.settings import Settings


def ladder(package: Package, settings: Settings) -> list[Rung]:
    """What may serve it, best first.

    Raises:
        PackageError: its evidence is not what the manifest says.
    """
    found = rungs(package, _tuning(package.manifest.version), settings.strict)
    return [replace(rung, threads=settings.threads_for(rung.threads if rung.tuned else None)) for rung in found]


def most_threads(settings: Settings) -> int:
    """Of an engine, for what is configured at the start: what an estimate of a busy model's power goes by."""
    found = [settings.threads_untuned]
    for path in settings.packages:
        with suppress(PackageError):  # which is said when it is loaded
            found += [rung.threads for rung in ladder(open_package(path), settings)[:1]]
    return max(found)


def _tuning(version: str) -> Tuning | None:
    try:
        return read_tuning(open_state(os.environ), version)
    except StateError:  # the user has no home, so nothing was kept
        return None
