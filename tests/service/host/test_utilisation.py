"""How busy others keep the host, by what `/proc/stat` says, without this process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from joulebox.host import Utilisation


@pytest.fixture
def procfs(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text("cpu  100 0 0 1000 0 0 0 0 0 0\ncpu0 1 2 3\n")
    return tmp_path


def watching(procfs: Path, own_s: list[float], monkeypatch: pytest.MonkeyPatch) -> Utilisation:
    monkeypatch.setattr(time, "process_time", lambda: own_s[0])
    return Utilisation({"JOULEBOX_PROCFS": str(procfs)})


def test_time_that_was_not_idle_and_not_ours_is_the_others(procfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_s = [7.0]
    utilisation = watching(procfs, own_s, monkeypatch)
    (procfs / "stat").write_text("cpu  600 50 50 2200 100 50 50 0 40 0\n")
    own_s[0] = 8.0  # a second is 100 ticks
    assert utilisation.others() == pytest.approx((500 + 50 + 50 + 50 + 50 - 100) / 2000)


def test_a_host_where_nobody_else_ran_is_at_rest(procfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_s = [0.0]
    utilisation = watching(procfs, own_s, monkeypatch)
    (procfs / "stat").write_text("cpu  101 0 0 1999 0 0 0 0 0 0\n")
    own_s[0] = 0.02
    assert utilisation.others() == 0.0


@pytest.mark.parametrize("content", [None, "", "cpu  1 2 3\n", "cpu  a b c d e f g h\n", "intr 1 2 3 4 5 6 7 8\n"])
def test_a_host_that_does_not_say_is_unknown(
    procfs: Path, content: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    utilisation = watching(procfs, [0.0], monkeypatch)
    if content is None:
        (procfs / "stat").unlink()
    else:
        (procfs / "stat").write_text(content)
    assert utilisation.others() is None


def test_no_time_says_nothing(procfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watching(procfs, [0.0], monkeypatch).others() is None


def test_this_host_says() -> None:
    utilisation = Utilisation({})
    time.sleep(0.1)
    others = utilisation.others()
    assert others is not None
    assert 0 <= others <= 1
