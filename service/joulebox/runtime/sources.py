"""The packages that the operator has configured: those to serve from the start, and those that may be loaded by name."""

from __future__ import annotations

import logging

from joulebox.package import Package, PackageError, open_package
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.repository")

BESIDE_MAX = 1000  # packages that are looked at in a repository folder
NONE = "(none)"


def configured(settings: Settings) -> dict[str, str]:
    """Name to folder of what is to be served; what cannot be opened stands under its own path, to fail visibly."""
    models: dict[str, str] = {}
    for path in settings.packages:
        try:
            package = open_package(path)
        except PackageError:
            models[str(path)] = str(path)
            continue
        name = package.manifest.name
        models[name if name not in models else str(path)] = str(package.folder)
    if not models and settings.repository is None:
        log.error("no model package: set JOULEBOX_PACKAGES to one, or name one to `joulebox serve`")
        models[NONE] = NONE
    return models


def loadable(settings: Settings) -> dict[str, Package]:
    """The packages that may be loaded, by name, as they lie there now."""
    folder = settings.repository
    beside = sorted(folder.iterdir())[:BESIDE_MAX] if folder is not None and folder.is_dir() else []
    found: dict[str, Package] = {}
    for path in (*settings.packages, *beside):
        try:
            package = open_package(path)
        except PackageError as error:
            log.warning("%s", error)
            continue
        found.setdefault(package.manifest.name, package)
    return found
