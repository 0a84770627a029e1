"""The workers of one server agree on what is wanted, and each says what it serves."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from host import full_disk, open_files
from joulebox.runtime import fleet as fleets
from joulebox.runtime.fleet import Fleet, Report, Wanted, lives, open_fleet


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave_report(folder: Path, worker: int, pid: int, *, generation: int = 1, ready: bool = True) -> None:
    report = {"worker": worker, "pid": pid, "generation": generation, "ready": ready, "failures": {}}
    (folder / f"report-{worker}.json").write_text(json.dumps(report))


def pair(folder: Path) -> tuple[Fleet, Fleet]:
    return Fleet(folder, 1, 2), Fleet(folder, 2, 2)


def test_what_one_wants_the_other_sees_once(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    assert two.wanted() is None
    assert not two.changed()
    one.want(Wanted(1, {"tiny": "/packages/tiny"}))
    assert two.changed()
    assert not two.changed()
    assert two.wanted() == Wanted(1, {"tiny": "/packages/tiny"})
    one.want(Wanted(2, {}))
    assert two.changed()


def test_a_full_disk_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    one.want(Wanted(1, {"a": "b"}))
    assert two.changed()
    with full_disk(), pytest.raises(OSError, match="File too large"):
        one.want(Wanted(2, {}))
    assert not two.changed()
    assert two.wanted() == Wanted(1, {"a": "b"})
    assert [path.name for path in tmp_path.iterdir()] == ["wanted.json"]


def test_one_change_at_a_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, two = pair(tmp_path)
        order: list[str] = []

        async def change(fleet: Fleet, name: str) -> None:
            async with fleet.changing():
                order.append(name)
                await asyncio.sleep(0.05)
                order.append(name)

        await asyncio.gather(change(one, "a"), change(two, "b"), change(one, "c"))
        assert [order[at] for at in (0, 2, 4)] == [order[at] for at in (1, 3, 5)]

    asyncio.run(scenario())


def test_a_change_that_fails_or_is_given_up_lets_the_next_one_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, two = pair(tmp_path)
        with pytest.raises(ValueError, match="x"):
            async with one.changing():
                raise ValueError("x")
        async with one.changing():
            waits = asyncio.create_task(two.changing().__aenter__())
            await asyncio.sleep(0.03)
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
        before = open_files()
        async with two.changing():
            assert open_files() == before + 1
        assert open_files() == before

    asyncio.run(scenario())


def test_one_worker_leads_until_it_ends(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    assert one.lead()
    assert one.lead()
    assert not two.lead()
    assert one._leading is not None
    os.close(one._leading)  # as the kernel does for a process that ends
    assert two.lead()
    assert two._leading is not None
    os.close(two._leading)


def test_readiness_needs_every_worker(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    assert not one.ready
    one.report(1, ready=True, failures={})
    assert not one.ready, "the other one has not come up"
    two.report(1, ready=False, failures={"tiny": "corrupt"})
    assert not one.ready
    two.report(1, ready=True, failures={})
    assert one.ready
    assert one.reports()[1] == Report(2, os.getpid(), 1, ready=True, failures={})


def test_a_worker_that_has_ended_is_not_ready_and_not_waited_for(tmp_path: Path) -> None:
    one, _ = pair(tmp_path)
    leave_report(tmp_path, 2, dead_pid())
    one.report(2, ready=True, failures={})
    assert not one.ready
    assert [report.worker for report in asyncio.run(one.settled(2, 0.1))] == [1]


def test_a_process_of_somebody_else_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    assert lives(os.getpid())
    assert not lives(2**80)
    monkeypatch.setattr("os.kill", refuse)
    assert not lives(1)


def test_settled_waits_for_the_generation_and_says_who_is_late(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, two = pair(tmp_path)
        one.report(2, ready=True, failures={})
        two.report(1, ready=True, failures={})
        with pytest.raises(TimeoutError, match=r"workers \[2\] have not reported within 0\.05 s"):
            await one.settled(2, 0.05)
        waits = asyncio.create_task(one.settled(2, 5))
        await asyncio.sleep(0.03)
        assert not waits.done()
        two.report(3, ready=True, failures={"tiny": "x"})
        assert [report.failures for report in await waits] == [{}, {"tiny": "x"}]

    asyncio.run(scenario())


def test_snapshots_are_read_by_all(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    assert two.read("energy.json") is None
    one.write("energy.json", b"1.5 J")
    assert two.read("energy.json") == b"1.5 J"


def test_without_a_folder_siblings_meet_in_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets.tempfile, "gettempdir", lambda: str(tmp_path))
    uid = os.getuid()
    stale = tmp_path / f"joulebox-{uid}-{dead_pid()}-1"
    odd = tmp_path / f"joulebox-{uid}-1-2-3-x"
    for folder in (stale, odd):
        folder.mkdir()
        (folder / "wanted.json").write_text("{}")
    one, two = open_fleet(None, 1, 2), open_fleet(None, 2, 2)
    assert one.folder == two.folder
    assert one.folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir()] == [one.folder.name], "what ended servers left is gone"


def test_a_meeting_place_that_belongs_to_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets.tempfile, "gettempdir", lambda: str(tmp_path))
    theirs = open_fleet(None, 1, 1).folder
    monkeypatch.setattr(Path, "lstat", lambda _: os.stat_result((0o40700, 0, 0, 1, os.getuid() + 1, 0, 0, 0, 0, 0)))
    with pytest.raises(PermissionError, match=theirs.name):
        open_fleet(None, 1, 1)
