"""What each worker's models have done, as any other worker reads it."""

from __future__ import annotations

import os
from pathlib import Path

from joulebox.runtime.records import (
    BATCHES,
    BUSY_NS,
    EXECUTIONS,
    HEADER_BYTES,
    ITEMS,
    LAST_MS,
    MODELS_MAX,
    NAME_BYTES,
    NOTHING,
    OPENED_NS,
    RECORD_BYTES,
    Records,
    Totals,
    read_records,
)

KEY = ("tiny", "0123456789abcdef")


def total(folder: Path) -> Totals:
    return sum((worker.totals(KEY) for worker in read_records(folder)), NOTHING)


def keys(folder: Path) -> list[tuple[str, str]]:
    return [key for worker in read_records(folder) for key, _ in worker.records]


def test_totals_of_several_workers_add_up(tmp_path: Path) -> None:
    one, two = (Records(tmp_path / f"work-{worker}").open(*KEY) for worker in (1, 2))
    one.executed(1, 100)
    one.executed(3, 200)
    two.executed(3, 400)
    one.numbers[LAST_MS], two.numbers[LAST_MS] = 7, 5
    found = total(tmp_path)
    assert [found.fields[at] for at in (BUSY_NS, ITEMS, EXECUTIONS, LAST_MS)] == [700, 7, 3, 7]
    assert found.batches[:3] == ((1, 100), (0, 0), (2, 600))
    assert one.totals() == read_records(tmp_path)[0].totals(KEY)


def test_a_batch_beyond_the_last_size_counts_there(tmp_path: Path) -> None:
    record = Records(tmp_path / "work-1").open(*KEY)
    record.executed(10_000, 5)
    assert total(tmp_path).batches[BATCHES - 1] == (1, 5)


def test_a_record_is_void_once_its_model_is_gone_and_is_used_again(tmp_path: Path) -> None:
    records = Records(tmp_path / "work-1")
    size = (tmp_path / "work-1").stat().st_size
    opened: set[int] = set()
    for _ in range(3 * MODELS_MAX):
        record = records.open(*KEY)
        record.executed(1, 1)
        opened.add(record.numbers[OPENED_NS])
        records.close(record)
    assert len(opened) == 3 * MODELS_MAX, "each is told from the one before it"
    assert keys(tmp_path) == []
    assert (tmp_path / "work-1").stat().st_size == size


def test_beyond_the_last_record_a_model_still_works_and_is_not_seen(tmp_path: Path) -> None:
    records = Records(tmp_path / "work-1")
    opened = [records.open(f"m{number}", "v") for number in range(MODELS_MAX + 1)]
    for record in opened:
        record.executed(1, 1)
    assert opened[-1].totals().fields[ITEMS] == 1
    assert len(keys(tmp_path)) == MODELS_MAX
    records.close(opened[-1])
    records.close(opened[0])
    assert records.open("again", "v").index == opened[0].index


def test_a_version_that_drains_while_it_is_brought_up_anew_is_the_sum_of_both(tmp_path: Path) -> None:
    records = Records(tmp_path / "work-1")
    for items in (1, 2):
        records.open(*KEY).executed(items, 1)
    assert total(tmp_path).fields[ITEMS] == 3


def test_a_worker_says_who_it_is_and_what_it_used(tmp_path: Path) -> None:
    Records(tmp_path / "work-7").set_cpu_ns(123)
    (worker,) = read_records(tmp_path)
    assert (worker.file, worker.pid, worker.cpu_ns) == ("work-7", os.getpid(), 123)


def test_a_new_worker_of_a_number_begins_at_zero(tmp_path: Path) -> None:
    old = Records(tmp_path / "work-1")
    old.open(*KEY).executed(1, 1)
    old.set_cpu_ns(5)
    Records(tmp_path / "work-1")
    assert keys(tmp_path) == []
    assert read_records(tmp_path)[0].cpu_ns == 0


def test_a_file_that_is_short_or_holds_garbage_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    Records(tmp_path / "work-1").open(*KEY).executed(1, 1)
    whole = (tmp_path / "work-1").read_bytes()
    for size in (0, 5, HEADER_BYTES, HEADER_BYTES + RECORD_BYTES - 1):
        (tmp_path / "work-2").write_bytes(whole[:size])
        assert keys(tmp_path) == [KEY]
    garbage = bytearray(whole)
    garbage[HEADER_BYTES : HEADER_BYTES + NAME_BYTES] = b"\xff\xfe" * (NAME_BYTES // 2)
    (tmp_path / "work-2").write_bytes(garbage)
    assert total(tmp_path).fields[ITEMS] == 1


def test_the_longest_name_and_version_fit(tmp_path: Path) -> None:
    longest = ("n" * 63, "f" * 16)
    Records(tmp_path / "work-1").open(*longest)
    assert keys(tmp_path) == [longest]
