"""A version comes up, or is kept with the reason why it did not, and leaves nothing else."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from joulebox.metrics import Metrics
from joulebox.package import Package
from joulebox.runtime.errors import LoadError
from joulebox.runtime.launcher import Launcher
from joulebox.runtime.model import Model, State
from joulebox.runtime.records import MODELS_MAX, Records
from joulebox.runtime.settings import Settings


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "work")


@pytest.fixture
def launcher(registry: CollectorRegistry, records: Records) -> Launcher:
    return Launcher(Settings(batch_max=1), Metrics(registry), records)


def failures(registry: CollectorRegistry, reason: str) -> float | None:
    return registry.get_sample_value("joulebox_load_failures_total", {"model": "tiny", "reason": reason})


def test_a_version_comes_up(launcher: Launcher, package: Package) -> None:
    async def scenario() -> None:
        model = await launcher.bring_up("tiny", package.folder)
        assert (model.state, model.version) == (State.READY, package.manifest.version)
        assert launcher.failed == {}
        await model.drain()

    asyncio.run(scenario())


def test_a_package_that_cannot_be_opened_is_noted_until_it_is_forgotten(
    launcher: Launcher, registry: CollectorRegistry, tmp_path: Path
) -> None:
    with pytest.raises(LoadError, match="no model package"):
        asyncio.run(launcher.bring_up("tiny", tmp_path / "gone"))
    failed = launcher.failed["tiny"]
    assert (failed.model, failed.version) == (None, "")
    assert "no model package" in failed.reason
    assert failures(registry, "package") == 1
    launcher.forget("tiny")
    launcher.forget("tiny")
    assert launcher.failed == {}


def test_an_error_of_our_own_is_one_more_failure_with_its_traceback(
    launcher: Launcher,
    registry: CollectorRegistry,
    records: Records,
    package: Package,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_model: Model) -> None:
        raise ZeroDivisionError("by mistake")

    monkeypatch.setattr(Model, "load", fails)
    with caplog.at_level(logging.ERROR), pytest.raises(LoadError, match="by mistake"):
        asyncio.run(launcher.bring_up("tiny", package.folder))
    assert "ZeroDivisionError" in caplog.text
    assert launcher.failed["tiny"].version == package.manifest.version
    assert failures(registry, "unknown") == 1
    assert len(records._free) == MODELS_MAX
