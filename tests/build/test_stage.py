"""A stage runs once for each set of inputs; what it made exists whole or not at all."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.errors import BuildError
from joulebox_build.stage import Artifact, Ran, Stages

CODE = {"module": "0" * 64}


class Counting:
    """Makes one file, and counts how often."""

    def __init__(self, content: bytes = b"content") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, _: Path) -> Mapping[str, bytes]:
        self.calls += 1
        return {"file": self.content}


def run(folder: Path, make: Any, inputs: Mapping[str, Any] | None = None, **options: Any) -> Artifact:
    return Stages(folder, **options).run("stage", CODE, inputs or {}, make)


def test_a_second_run_with_the_same_inputs_takes_what_the_first_made(cache: Path) -> None:
    make = Counting()
    first, second = run(cache, make), run(cache, make)
    assert (first.cached, second.cached, make.calls) == (False, True, 1)
    assert first.files == second.files
    assert first.digest == second.digest


def test_what_was_made_is_not_kept_in_memory_by_the_log(cache: Path) -> None:
    stages = Stages(cache)
    for _ in range(2):
        stages.run("stage", CODE, {}, Counting())
    assert [type(ran) for ran in stages.log] == [Ran, Ran]


def test_other_inputs_or_other_code_are_another_artifact(cache: Path) -> None:
    stages, make = Stages(cache), Counting()
    keys = {
        stages.run("stage", CODE, {"a": 1}, make).key,
        stages.run("stage", CODE, {"a": 2}, make).key,
        stages.run("stage", {"module": "1" * 64}, {"a": 1}, make).key,
        stages.run("other", CODE, {"a": 1}, make).key,
    }
    assert len(keys) == make.calls == 4


@given(inputs=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_the_order_of_inputs_does_not_matter_and_each_value_does(
    inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stages, make = Stages(tmp_path_factory.mktemp("cache")), Counting()
    key = stages.run("stage", CODE, inputs, make).key
    assert stages.run("stage", CODE, dict(reversed(inputs.items())), make).key == key
    for name, value in inputs.items():
        assert stages.run("stage", CODE, {**inputs, name: [value]}, make).key != key


def test_a_stage_that_fails_leaves_no_artifact(cache: Path) -> None:
    def fail(_: Path) -> Mapping[str, bytes]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(cache, fail)
    make = Counting()
    assert not run(cache, make).cached


def test_a_damaged_artifact_is_made_anew(cache: Path) -> None:
    run(cache, Counting())
    (entry,) = cache.glob("stage-*")
    (entry / "file").write_bytes(b"changed")
    make = Counting()
    assert not run(cache, make).cached
    assert run(cache, make).files == {"file": b"content"}
    assert make.calls == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"absent": "0"}}', '{"files": ["file"]}', '{"files": 1}'])
def test_an_artifact_whose_index_is_damaged_is_made_anew(cache: Path, text: str) -> None:
    run(cache, Counting())
    (entry,) = cache.glob("stage-*")
    (entry / "stage.json").write_text(text, "utf-8")
    assert not run(cache, Counting()).cached


def test_the_least_recently_used_artifacts_go_first(cache: Path) -> None:
    big = Counting(b"x" * 1000)
    for number in range(4):
        run(cache, big, {"number": number})
        for path in cache.glob("stage-*"):  # each step a day ago more
            os.utime(path, (path.stat().st_mtime - 86400,) * 2)
    run(cache, big, {"number": 0})  # used again
    run(cache, big, {"number": 4}, size_max=4000)
    kept = {json.loads((path / "stage.json").read_text("utf-8"))["inputs"]["number"] for path in cache.glob("stage-*")}
    assert 0 in kept
    assert 4 in kept
    assert 1 not in kept


def test_what_another_build_has_in_its_scratch_folder_stays(cache: Path) -> None:
    for name, days in (("live", 0.5), ("left", 3)):
        scratch = cache / f".scratch-stage-{name}"
        scratch.mkdir(parents=True)
        (scratch / "checkpoint").write_bytes(b"x" * 5000)
        os.utime(scratch, (scratch.stat().st_mtime - 86400 * days,) * 2)
    run(cache, Counting(b"x" * 1000), size_max=3000)
    assert [path.name for path in cache.glob(".scratch-*")] == [".scratch-stage-live"]


def test_a_full_disk_is_said_and_what_was_made_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(cache, Counting())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("joulebox_build.stage.os.fsync", full)
        with pytest.raises(
            BuildError, match=r"cannot be written \(No space left on device\); make room, or set JOULEBOX_CACHE"
        ):
            run(cache, Counting(), {"number": 1})
    assert run(cache, Counting()).cached
    assert not run(cache, Counting(), {"number": 1}).cached


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from joulebox_build import stage
stage.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
stage.Stages(Path(sys.argv[1])).run("stage", {"module": "0" * 64}, {}, lambda _: {"file": b"content"})
"""


def test_a_process_killed_while_writing_leaves_no_half_of_an_artifact(cache: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(cache)], env=environment, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert not list(cache.glob("stage-*"))
    assert not run(cache, Counting()).cached


def _slow(folder: Path, number: Any) -> None:
    def make(_: Path) -> Mapping[str, bytes]:
        with (folder / "calls").open("a") as file:
            file.write(f"{number}\n")
        return {"file": b"content"}

    run(folder / "cache", make)


def test_two_builds_at_once_make_an_artifact_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_slow, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len((tmp_path / "calls").read_text("utf-8").splitlines()) == 1


def test_a_stage_within_a_stage_never_waits_for_the_outer_one(cache: Path) -> None:
    stages = Stages(cache)

    def outer(_: Path) -> Mapping[str, bytes]:
        made = [stages.run("inner", CODE, {"number": number}, Counting()) for number in range(300)]
        return {"file": made[-1].files["file"]}

    signal.alarm(60)  # rather than hang: locks that few stages share would
    try:
        assert stages.run("outer", CODE, {}, outer).files == {"file": b"content"}
    finally:
        signal.alarm(0)
