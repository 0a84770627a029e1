"""The folder of a running server: in memory, removed when it ends, and by the next server when it was killed."""

from __future__ import annotations

import os
import shutil
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
    monkeypatch.setattr(homes.os, "getuid", lambda: 0)
    with server_home(1) as home:
        assert home.folder.parent == tmp_path / "memory"
        assert home.folder.stat().st_mode & 0o777 == 0o700
    assert not home.folder.exists()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(homes.tempfile, "gettempdir", lambda: str(tmp_path))
    with server_home(1) as home:
        assert home.folder.parent == tmp_path


@pytest.mark.parametrize("why", ["a person's account", "no room"])
def test_memory_is_not_used_where_the_folder_would_not_be_safe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: str
) -> None:
    """systemd-logind removes a person's files there at the last logout; a mapped file without room ends its process."""
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(homes, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(homes.tempfile, "gettempdir", lambda: str(tmp_path))
    uid = os.getuid()
    monkeypatch.setattr(homes, "SYSTEM_UID_MAX", uid - 1 if why == "a person's account" else uid)
    monkeypatch.setattr(homes, "ROOM_BYTES", 2**60 if why == "no room" else 0)
    with server_home(1) as home:
        assert home.folder.parent == tmp_path


def test_a_server_whose_folder_is_removed_ends_with_a_clear_line_once_it_needs_it(
    tmp_path: Path, package: Package
) -> None:
    with running(package.folder, environment={**os.environ, "TMPDIR": str(tmp_path)}) as server:
        home, (worker,) = server.environment("BENTOML_HOME"), server.workers().values()
        shutil.rmtree(home)
        worker.kill()
        assert server.process.wait(30) == 1
        assert "no worker can be started" in server.said()


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
