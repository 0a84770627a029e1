"""Measurements of several builds and searches on one host come one after another."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from joulebox_build import alone as module
from joulebox_build.alone import LOCK, alone
from joulebox_build.errors import BuildError

HOLDER = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT, 0o644)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own host, as far as the lock goes."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def holder(folder: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(folder / LOCK), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_that_nobody_is_in_the_way_of_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with alone():
            pass
    assert capsys.readouterr().err == ""


def test_another_one_is_waited_for_and_that_is_said(temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with holder(temporary, 0.5) as other:
        with alone():
            assert other.wait(10) == 0
        said = capsys.readouterr().err
    assert said == ("another build or search on this host is measuring: this one waits for its turn, 10 min at most\n")


def test_a_killed_one_is_not_waited_for(temporary: Path) -> None:
    with holder(temporary, 60) as other:
        other.kill()
        other.wait()
        began = time.monotonic()
        with alone():
            assert time.monotonic() - began < 5


def test_the_wait_is_bounded_and_its_end_is_said(
    temporary: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.3)
    with holder(temporary, 60) as other:
        with alone():
            assert other.poll() is None
        other.kill()
    assert "is locked still: this one measures beside the other" in capsys.readouterr().err


def test_a_lock_that_is_no_file_of_ours_is_not_followed(temporary: Path) -> None:
    (temporary / LOCK).symlink_to(temporary / "elsewhere")
    with pytest.raises(BuildError, match=rf"{LOCK} cannot be opened .*; remove it, or set TMPDIR"), alone():
        pass
    assert not (temporary / "elsewhere").exists()
