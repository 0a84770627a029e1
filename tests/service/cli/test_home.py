"""The folder of a running server: in memory, removed when it ends, and by the next server when it was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from joulebox.cli import home as homes
from joulebox.cli.home import server_home
from joulebox.package import Package
from servers import running, wait_until


def test_it_lies_in_memory_unless_the_user_names_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(homes, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    with server_home() as home:
        assert home.parent == tmp_path / "memory"
        assert home.stat().st_mode & 0o777 == 0o700
    assert not home.exists()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(homes.tempfile, "gettempdir", lambda: str(tmp_path))
    with server_home() as home:
        assert home.parent == tmp_path


def test_what_a_killed_server_left_the_next_one_removes_and_nothing_else(tmp_path: Path, package: Package) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    others = tmp_path / f"{homes.PREFIX}of-somebody"
    others.mkdir()
    with running(package.folder, environment=environment) as living:
        with running(package.folder, environment=environment) as killed:
            left = killed.environment("BENTOML_HOME")
            workers = killed.workers().values()
            killed.process.send_signal(signal.SIGKILL)
            wait_until(lambda: not any(worker.is_running() for worker in workers))
        assert left.exists()
        with running(package.folder, environment=environment) as server:
            assert not left.exists()
            assert server.stop() == 0
        assert living.environment("BENTOML_HOME").exists()
        assert living.stop() == 0
    assert list(tmp_path.glob(f"{homes.PREFIX}*")) == [others]
