"""What is kept of a host is whole, bounded, and never in the way."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host import full_disk
from joulebox.host import (
    Calibration,
    Host,
    State,
    StateError,
    keep_calibrations,
    keep_measurement,
    open_state,
    read_calibrations,
)
from joulebox.host.state import HOSTS_MAX


def state_in(folder: Path, fingerprint: str = "0" * 16) -> State:
    return State(Host(fingerprint, "x86_64", None, 2, 8, None), folder / "hosts" / fingerprint)


def calibration(device: str = "cpu-package-0", watts: float = 20.0, **changes: Any) -> Calibration:
    fields: dict[str, Any] = {
        "device": device,
        "reader": "rapl",
        "source": "measured",
        "watts": watts,
        "error_watts": 0.1,
        "seconds": 60.0,
        "tick_seconds": 0.001,
        "loaded": ["fashion 0123 (cpu-int8)"],
        "others_busy": 0.01,
        "measured_at": "2026-11-22T12:00:00+00:00",
        "joulebox": "0.1.0",
    }
    return Calibration(**{**fields, **changes})


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"JOULEBOX_STATE": "/var/lib/joulebox", "XDG_STATE_HOME": "/x"}, "/var/lib/joulebox"),
        ({"XDG_STATE_HOME": "/x"}, "/x/joulebox"),
        ({"XDG_STATE_HOME": "relative"}, "/home/one/.local/state/joulebox"),
        ({}, "/home/one/.local/state/joulebox"),
    ],
)
def test_the_folder_is_the_one_that_is_set_else_the_user_s_for_state(
    environment: dict[str, str], root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/one")
    state = open_state(environment)
    assert str(state.folder) == f"{root}/hosts/{state.host.fingerprint}"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StateError, match="JOULEBOX_STATE"):
        open_state({})


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    assert read_calibrations(state) == []
    path = keep_calibrations(state, [calibration(), calibration("dram-0", 3.0)])
    assert {each.device: each.watts for each in read_calibrations(state)} == {"cpu-package-0": 20.0, "dram-0": 3.0}
    assert json.loads(path.read_text())["host"] == state.host.facts


def test_a_new_calibration_takes_the_place_of_the_old_one_of_that_device_alone(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    keep_calibrations(state, [calibration(), calibration("dram-0", 3.0)])
    keep_calibrations(state, [calibration(watts=25.0)])
    assert {each.device: each.watts for each in read_calibrations(state)} == {"cpu-package-0": 25.0, "dram-0": 3.0}


def test_another_host_has_its_own(tmp_path: Path) -> None:
    keep_calibrations(state_in(tmp_path), [calibration()])
    assert read_calibrations(state_in(tmp_path, "1" * 16)) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"schema_version": 2, "host": {}, "devices": []}',
        b'{"schema_version": 1, "host": {}, "devices": [{}]}',
        b"9" * (2**20 + 1),
    ],
    ids=["empty", "cut", "list", "binary", "newer", "missing", "large"],
)
def test_a_damaged_file_is_reported_ignored_and_replaced(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_in(tmp_path)
    path = keep_calibrations(state, [calibration()])
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_calibrations(state) == []
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path} is damaged, so it is left out: ")
    assert "\n" not in record.getMessage()
    keep_calibrations(state, [calibration()])
    assert len(read_calibrations(state)) == 1


def test_no_calibration_is_negative_or_without_bounds() -> None:
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="watts"):
            calibration(watts=wrong)


def test_a_folder_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("a file")
    with pytest.raises(StateError) as caught:
        keep_calibrations(state_in(tmp_path), [calibration()])
    assert caught.value.exit_code == 1
    assert "JOULEBOX_STATE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_on_a_full_disk_what_was_there_stays(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    path = keep_calibrations(state, [calibration()])
    with full_disk(), pytest.raises(StateError, match="File too large"):
        keep_calibrations(state, [calibration(watts=25.0)])
    assert read_calibrations(state)[0].watts == 20.0
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    path = keep_calibrations(state, [calibration()])
    (path.parent / ".making-calibration.json").write_text("half")
    keep_calibrations(state, [calibration(watts=21.0)])
    assert list(path.parent.iterdir()) == [path]


def test_writers_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    writers = [_writer(tmp_path, f"device-{number}") for number in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert {each.device for each in read_calibrations(state_in(tmp_path))} == {"device-0", "device-1", "device-2"}


def _writer(folder: Path, device: str) -> subprocess.Popen[bytes]:
    """A process of its own that keeps one device's calibration twenty times."""
    kept = repr(calibration(device))
    state = f"State(Host({'0' * 16!r}, 'x86_64', None, 2, 8, None), Path({str(folder)!r}) / 'hosts' / {'0' * 16!r})"
    code = (
        "from pathlib import Path\n"
        "from joulebox.host import Calibration, Host, State, keep_calibrations\n"
        f"for _ in range(20):\n    keep_calibrations({state}, [{kept}])\n"
    )
    return subprocess.Popen([sys.executable, "-c", code])


def test_the_newest_measurements_are_kept(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    for number in range(70):
        path = keep_measurement(state, f"{number:016x}", {"number": number})
        os.utime(path, (number, number))
    kept = {json.loads(path.read_text())["number"] for path in path.parent.iterdir()}
    assert kept == set(range(6, 70))


def test_the_hosts_of_one_folder_are_bounded(tmp_path: Path) -> None:
    for number in range(HOSTS_MAX + 5):
        keep_calibrations(state_in(tmp_path, f"{number:016x}"), [calibration()])
    assert len(list((tmp_path / "hosts").iterdir())) == HOSTS_MAX
    assert read_calibrations(state_in(tmp_path, f"{HOSTS_MAX + 4:016x}"))


@settings(max_examples=20)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.floats(allow_nan=False, allow_infinity=False) | st.none()))
def test_a_measurement_says_what_was_measured(tmp_path_factory: Any, content: dict[str, Any]) -> None:
    path = keep_measurement(state_in(tmp_path_factory.mktemp("state")), "0" * 16, content)
    assert json.loads(path.read_text()) == content
