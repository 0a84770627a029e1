"""A package appears whole or not at all, and its version says what it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from joulebox.package import Package, open_package, write_package, writer

Make = Callable[..., Package]
OTHER = {"variants/cpu-fp32.onnx": b"other weights", "golden.npz": b"inputs and outputs"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_same_content_same_version(make: Make) -> None:
    first = make()
    before = first.folder.stat().st_ino
    assert make() == first
    assert first.folder.stat().st_ino == before, "it was written anew"


def test_evidence_does_not_change_the_version_and_the_first_stays(make: Make, tmp_path: Path) -> None:
    first, second = make(), make(evidence={"report.json": b"another day"})
    assert second.manifest.version == first.manifest.version
    assert second.read("report.json") == first.read("report.json")
    assert names(tmp_path / "toy") == {first.manifest.version, "current"}


@pytest.mark.parametrize(
    "change",
    [
        {"files": OTHER},
        {"name": "other"},
        {"labels": ["no", "yes"]},
        {"postprocess": {"kind": "classify", "temperature": 1.25, "top": 2}},
        {"lineage": {"inputs": "1" * 64, "made_of": {"seed": 1}}},
    ],
)
def test_what_the_model_is_or_answers_changes_the_version(make: Make, change: dict[str, Any]) -> None:
    assert make().manifest.version != make(**change).manifest.version


def test_current_follows_the_last_one_written(make: Make, tmp_path: Path) -> None:
    first, second = make(), make(files=OTHER)
    assert open_package(tmp_path / "toy") == second
    assert open_package(first.folder) == first, "the old version stays"
    assert make() == first
    assert open_package(tmp_path / "toy") == first
    assert str((tmp_path / "toy/current").readlink()) == first.manifest.version, (
        "relative, so that the folder can be moved"
    )


def test_a_damaged_version_is_made_whole_by_writing_it_again(make: Make, tmp_path: Path) -> None:
    package = make()
    (package.folder / "golden.npz").write_bytes(b"")
    make().verify()
    assert names(tmp_path / "toy") == {package.manifest.version, "current"}


STEPS = ["_write", "_sync", "_point", "open_package"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("call", [0, 1, 2])
def test_an_error_in_the_middle_leaves_what_was_there(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    before = make()
    real, calls = getattr(writer, step), iter(range(100))

    def failing(*arguments: Any) -> Any:
        if next(calls) == call:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(writer, step, failing)
    try:
        make(files=OTHER)
    except OSError:
        current = open_package(tmp_path / "toy")
        current.verify()
        assert current == before or call > 0, "current moved although the write failed"
    assert not [name for name in names(tmp_path / "toy") if name.startswith(".")], "something was left behind"


def _killed_writer(out: Path, fields: dict[str, Any], step: str, call: int) -> None:
    real, calls = getattr(writer, step), iter(range(100))

    def deadly(*arguments: Any) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    setattr(writer, step, deadly)
    write_package(out, fields, OTHER, {})


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("call", [0, 1])
def test_a_kill_in_the_middle_leaves_current_valid_and_the_next_write_clears_up(
    make: Make, tmp_path: Path, step: str, call: int
) -> None:
    make()
    fields = open_package(tmp_path / "toy").manifest.model_dump(
        exclude={"version", "checksum", "files", "evidence"}, mode="json"
    )
    process = multiprocessing.get_context("fork").Process(
        target=_killed_writer, args=(tmp_path / "toy", fields, step, call)
    )
    process.start()
    process.join(60)
    open_package(tmp_path / "toy").verify()
    after = make(files=OTHER)
    after.verify()
    assert open_package(tmp_path / "toy") == after
    assert not [name for name in names(tmp_path / "toy") if name.startswith(".")], "something was left behind"


def _write_many(out: Path, fields: dict[str, Any], seed: int) -> None:
    for turn in range(10):
        write_package(out, fields, {**OTHER, "golden.npz": bytes([(seed + turn) % 4])}, {})


def test_writers_at_the_same_time_take_turns(make: Make, tmp_path: Path) -> None:
    fields = make().manifest.model_dump(exclude={"version", "checksum", "files", "evidence"}, mode="json")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_many, args=(tmp_path / "toy", fields, seed)) for seed in range(3)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        open_package(tmp_path / "toy").verify()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len([name for name in names(tmp_path / "toy") if name != "current"]) == 5


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", ".hidden", "manifest.json"])
def test_a_path_out_of_the_package_is_not_written(make: Make, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        make(files={**OTHER, name: b""})
    assert not (tmp_path / "toy").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.floats() | st.text(max_size=5) | st.none() | st.integers(), max_size=5))
def test_what_lineage_says_is_read_back_or_refused(make: Make, made_of: dict[str, Any]) -> None:
    try:
        package = make(lineage={"inputs": "0" * 64, "made_of": made_of})
    except ValueError:  # a number that is not finite, or half a surrogate pair
        return
    assert package.manifest.lineage.made_of == made_of
