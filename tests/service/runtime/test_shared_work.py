"""The work of all workers adds up once: what dies, drains or is reloaded takes nothing back and counts nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.energy import Work
from joulebox.runtime.records import STARTED_NS, Record, Records
from joulebox.runtime.shared_work import SharedWork

KEY = ("tiny", "v1")


def worker(folder: Path, number: int = 1) -> tuple[Records, Record]:
    records = Records(folder / f"work-{number}")
    return records, records.open(*KEY)


def begin(record: Record, at_s: float) -> None:
    record.numbers[STARTED_NS] = int(at_s * 1e9)


def end(record: Record, items: int, seconds: float) -> None:
    record.numbers[STARTED_NS] = 0
    record.executed(items, int(seconds * 1e9))


def test_workers_add_up_and_what_is_being_computed_counts(tmp_path: Path) -> None:
    (_, one), (_, two) = worker(tmp_path, 1), worker(tmp_path, 2)
    work = SharedWork(tmp_path)
    end(one, 2, 1.0)
    end(two, 3, 2.0)
    begin(two, 10.0)
    assert work.read(10.5) == {KEY: Work(pytest.approx(3.5), 5)}
    end(two, 1, 1.0)
    assert work.read(11.5) == {KEY: Work(pytest.approx(4.0), 6)}


def test_a_batch_that_turns_out_shorter_than_it_seemed_counts_once(tmp_path: Path) -> None:
    _, record = worker(tmp_path)
    work = SharedWork(tmp_path)
    begin(record, 1.0)
    assert work.read(2.0)[KEY].busy_s == pytest.approx(1.0)
    end(record, 1, 0.9)
    assert work.read(3.0)[KEY].busy_s == pytest.approx(1.0)
    end(record, 1, 0.5)
    assert work.read(4.0)[KEY].busy_s == pytest.approx(1.4)


def test_a_reading_between_the_end_of_a_batch_and_its_count_takes_nothing_back(tmp_path: Path) -> None:
    _, record = worker(tmp_path)
    work = SharedWork(tmp_path)
    begin(record, 1.0)
    work.read(2.0)
    record.numbers[STARTED_NS] = 0
    assert work.read(2.0)[KEY].busy_s == pytest.approx(1.0)
    record.executed(1, int(1e9))
    assert work.read(3.0)[KEY].busy_s == pytest.approx(1.0)


@pytest.mark.parametrize("before", [1, 3, 5])
def test_a_respawned_worker_takes_nothing_back_however_soon_it_has_done_more(tmp_path: Path, before: int) -> None:
    records, record = worker(tmp_path)
    work = SharedWork(tmp_path)
    for _ in range(before):
        end(record, 1, 1.0)
    records.set_cpu_ns(5_000_000_000)
    work.read(9.0)
    new, record = worker(tmp_path)
    for _ in range(3):
        end(record, 1, 1.0)
    new.set_cpu_ns(2_000_000_000)
    assert work.read(9.1)[KEY] == Work(pytest.approx(before + 3), before + 3)
    assert work.cpu_s == pytest.approx(7.0)


def test_a_worker_that_was_killed_computes_nothing_any_more(tmp_path: Path) -> None:
    records, record = worker(tmp_path)
    work = SharedWork(tmp_path)
    begin(record, 1.0)
    assert work.read(2.0)[KEY].busy_s == pytest.approx(1.0)
    records._numbers[1] = 2**22 + 1  # no process has this number
    assert work.read(100.0)[KEY].busy_s == pytest.approx(1.0)


def test_a_version_loaded_again_while_it_drains_counts_both_records_once(tmp_path: Path) -> None:
    records, old = worker(tmp_path)
    work = SharedWork(tmp_path)
    end(old, 5, 1.0)
    new = records.open(*KEY)
    end(new, 1, 1.0)
    assert work.read(1.0)[KEY] == Work(pytest.approx(2.0), 6)
    records.close(old)
    end(new, 1, 1.0)
    assert work.read(2.0)[KEY] == Work(pytest.approx(3.0), 7)


def test_what_is_unloaded_is_forgotten(tmp_path: Path) -> None:
    records = Records(tmp_path / "work-1")
    work = SharedWork(tmp_path)
    for number in range(50):
        record = records.open("tiny", f"v{number}")
        work.read(number)
        records.close(record)
    assert work.read(99) == {}
    assert not work._seen
    assert not work._work


STEP = st.tuples(
    st.integers(1, 3), st.sampled_from(["run", "run", "run", "die", "reload", "read", "read"]), st.integers(1, 4)
)


@settings(max_examples=150)
@given(steps=st.lists(STEP, max_size=30))
def test_any_history_counts_each_item_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("work")
    workers = {number: worker(folder, number) for number in (1, 2, 3)}
    work = SharedWork(folder)
    done = 0
    for number, what, items in steps:
        records, record = workers[number]
        if what == "run":
            end(record, items, float(items))
            done += items
        elif what != "read":
            work.read(0.0)  # what was done since the last reading is lost with the record
            if what == "reload":
                records.close(record)
                workers[number] = records, records.open(*KEY)
            else:
                workers[number] = worker(folder, number)
    assert work.read(0.0)[KEY] == Work(pytest.approx(done), done)
