"""Regions of real shared memory: what a client on the same board may hand over, and what it may not reach."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.runtime import regions as module
from joulebox.runtime.errors import BadRequest, NotFound, Unsupported
from joulebox.runtime.regions import AlreadyExists, Regions

SHM = Path("/dev/shm")
PAGE = mmap.PAGESIZE


@pytest.fixture
def key() -> Iterator[str]:
    """The key of a shared memory object of 10,000 bytes: 0, 1, … 255, 0, …"""
    name = f"joulebox-test-{uuid.uuid4().hex}"
    (SHM / name).write_bytes(bytes(range(256)) * 39 + bytes(16))
    yield "/" + name
    (SHM / name).unlink(missing_ok=True)


def file(key: str) -> Path:
    return SHM / key[1:]


def test_a_region_is_registered_read_written_and_forgotten(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("frames", key, 0, 10_000)
    assert regions.status() == [{"name": "frames", "key": key, "offset": 0, "byte_size": 10_000}]
    assert bytes(regions.read("frames", 5, 3)) == bytes([5, 6, 7])
    regions.write("frames", 100, 8, b"result")
    assert file(key).read_bytes()[100:107] == b"result" + bytes([106])
    regions.unregister("frames")
    assert regions.status() == []
    with pytest.raises(NotFound, match=r"^Unable to find shared memory region: 'frames'$"):
        regions.read("frames", 0, 1)
    with pytest.raises(NotFound, match=r"^Unable to find system shared memory region: 'frames'$"):
        regions.status("frames")


def test_reading_copies_nothing_and_cannot_write(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("frames", key, 0, 10_000)
    array = np.frombuffer(regions.read("frames", 0, 16), np.uint8)
    with file(key).open("r+b") as owner:
        owner.write(b"\xff" * 4)
    assert array.tolist()[:5] == [255, 255, 255, 255, 4], "the owner's change is seen: it is the same memory"
    assert not array.flags.writeable


def test_a_region_may_start_anywhere_in_its_object(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("late", key, PAGE + 7, 100)  # mmap itself wants whole pages
    assert bytes(regions.read("late", 3, 4)) == file(key).read_bytes()[PAGE + 10 : PAGE + 14]
    regions.write("late", 0, 4, memoryview(np.array([1], np.int32)))
    assert file(key).read_bytes()[PAGE + 7 : PAGE + 11] == b"\1\0\0\0"
    assert len(file(key).read_bytes()) == 10_000


def test_a_key_needs_no_slash(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("frames", key[1:], 0, 1)
    assert regions.status("frames")[0]["key"] == key[1:]


def test_a_name_is_registered_once(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("frames", key, 0, 16)
    with pytest.raises(AlreadyExists, match=r"^shared memory region 'frames' already in manager$"):
        regions.register("frames", key, 0, 16)
    regions.register("other", key, 8, 16)
    regions.unregister()
    assert regions.status() == []
    regions.unregister("never registered")


@pytest.mark.parametrize(
    "wrong",
    ["", "/", "//x", "/../etc/passwd", "../etc/passwd", "..", ".", "/a/b", "/x\0y", "x" * 256, "\ud800", None, 3],
)
def test_nothing_but_shared_memory_can_be_named(wrong: str) -> None:
    with pytest.raises(BadRequest, match=r"^Unable to open shared memory region: "):
        Regions(enabled=True).register("frames", wrong, 0, 1)


def test_links_folders_and_pipes_are_no_shared_memory(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for make in (
        lambda path: path.symlink_to(tmp_path / "secret"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ):
        path = SHM / f"joulebox-test-{uuid.uuid4().hex}"
        make(path)
        try:
            with pytest.raises(BadRequest, match="Unable to open shared memory region"):
                Regions(enabled=True).register("frames", f"/{path.name}", 0, 1)
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(BadRequest, match="Unable to open shared memory region: '/none-such': No such file"):
        Regions(enabled=True).register("frames", "/none-such", 0, 1)


@pytest.mark.parametrize(
    ("offset", "byte_size"),
    [
        (0, 10_001),
        (9_999, 2),
        (10_000, 1),
        (2**63, 1),
        (0, 2**64),
        (-1, 4),
        (0, -4),
        (0, 0),
        (0.0, 4),
        (True, 4),
        ("0", 4),
    ],
)
def test_a_region_beyond_its_object_is_refused(key: str, offset: int, byte_size: int) -> None:
    regions = Regions(enabled=True)
    with pytest.raises(BadRequest, match="failed to register shared memory region 'frames': invalid args"):
        regions.register("frames", key, offset, byte_size)
    assert regions.status() == []


sizes = st.one_of(
    st.integers(-(2**70), 2**70), st.integers(-5, 10_005), st.sampled_from([2**31, 2**32, 2**63, 2**64 - 1])
)


@given(start=st.integers(0, 9_999), length=st.integers(1, 10_000), offset=sizes, byte_size=sizes)
def test_a_slot_gives_its_own_bytes_or_an_error(start: int, length: int, offset: int, byte_size: int) -> None:
    path = SHM / f"joulebox-test-{os.getpid()}-slots"
    content = bytes(range(256)) * 39 + bytes(16)
    if not path.exists():
        path.write_bytes(content)
    length = min(length, 10_000 - start)
    regions = Regions(enabled=True)
    try:
        regions.register("r", f"/{path.name}", start, length)
        if 0 <= offset < length and 0 <= byte_size <= length - offset:
            assert bytes(regions.read("r", offset, byte_size)) == content[start:][offset:][:byte_size]
        else:
            for use in (regions.check, regions.read, lambda *slot: regions.write(*slot, b"")):
                with pytest.raises(BadRequest, match=r"^Invalid offset( \+ byte size)? for shared memory region: 'r'"):
                    use("r", offset, byte_size)
    finally:
        regions.close()
        path.unlink()


def test_a_result_that_does_not_fit_is_refused_whole(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("out", key, 0, 100)
    said = r"output 'logits' \(4 bytes\) should be at least 5 bytes to hold the results"
    with pytest.raises(BadRequest, match=said):
        regions.write("out", 0, 4, b"12345", output="logits")
    assert file(key).read_bytes()[:4] == bytes([0, 1, 2, 3])


def test_an_object_cut_by_its_owner_is_an_error_and_no_crash(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("frames", key, 0, 10_000)
    os.truncate(file(key), 100)
    assert bytes(regions.read("frames", 0, 4)) == bytes([0, 1, 2, 3])
    for use in (lambda: regions.read("frames", 50, 51), lambda: regions.write("frames", 0, 200, b"x" * 101)):
        with pytest.raises(BadRequest, match="was cut to 100 bytes since it was registered"):
            use()
    assert file(key).stat().st_size == 100


def test_an_object_with_holes_is_copied(key: str) -> None:
    os.truncate(file(key), 0)
    os.truncate(file(key), 4 * PAGE)
    regions = Regions(enabled=True)
    regions.register("frames", key, 0, 4 * PAGE)
    view = regions.read("frames", 0, 2 * PAGE)
    assert bytes(view) == bytes(2 * PAGE)
    assert isinstance(view.obj, bytes), "touching a hole in memory may kill when /dev/shm is full"
    file(key).write_bytes(b"x" * 4 * PAGE)
    assert isinstance(regions.read("frames", 0, 2 * PAGE).obj, mmap.mmap)


def test_memory_in_use_outlives_its_region(key: str) -> None:
    regions = Regions(enabled=True)
    regions.register("frames", key, 0, 10_000)
    array = np.frombuffer(regions.read("frames", 0, 10_000), np.uint8)
    regions.unregister("frames")
    file(key).unlink()
    gc.collect()
    assert int(array[:256].sum()) == sum(range(256))


def test_no_file_handle_or_mapping_is_left(key: str) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self/maps").read_text().count(key[1:])

    before = held()
    regions = Regions(enabled=True)
    for _ in range(20):
        regions.register("frames", key, 0, 10_000)
        regions.read("frames", 0, 10)
        with pytest.raises(BadRequest):
            regions.register("too long", key, 0, 20_000)
        regions.unregister()
    assert held() == before


def test_regions_and_their_bytes_are_bounded(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REGIONS_MAX", 3)
    monkeypatch.setattr(module, "BYTES_MAX", 30_000)
    regions = Regions(enabled=True)
    regions.register("1", key, 0, 10_000)
    regions.register("2", key, 0, 10_000)
    regions.register("3", key, 0, 1)
    with pytest.raises(BadRequest, match="at most 3 regions"):
        regions.register("4", key, 0, 1)
    regions.unregister("2")
    regions.register("2", key, 0, 9_999)
    regions.unregister("1")
    monkeypatch.setattr(module, "BYTES_MAX", 19_999)
    with pytest.raises(BadRequest, match="regions of 19999 bytes in all"):
        regions.register("1", key, 0, 10_000)
    with pytest.raises(BadRequest, match="expected a name of 1 to 256 characters"):
        regions.register("n" * 257, key, 0, 1)


def test_nothing_works_while_it_is_off(key: str) -> None:
    regions = Regions(enabled=False)
    for use in (
        lambda: regions.register("frames", key, 0, 1),
        lambda: regions.unregister("frames"),
        regions.status,
        lambda: regions.read("frames", 0, 1),
        lambda: regions.write("frames", 0, 1, b"x"),
    ):
        with pytest.raises(Unsupported, match="runs without --shared-memory"):
            use()


def test_all_workers_know_what_one_was_told(key: str, tmp_path: Path) -> None:
    one, two = Regions(enabled=True, folder=tmp_path), Regions(enabled=True, folder=tmp_path)
    one.register("frames", key, 16, 100)
    assert bytes(two.read("frames", 0, 2)) == bytes([16, 17])
    with pytest.raises(AlreadyExists):
        two.register("frames", key, 16, 100)
    two.unregister("frames")
    assert one.status() == []
    with pytest.raises(NotFound):
        one.read("frames", 0, 2)
    one.register("frames", key, 32, 100)
    assert bytes(two.read("frames", 0, 2)) == bytes([32, 33]), "the new region of that name, not the old mapping"
    respawned = Regions(enabled=True, folder=tmp_path)
    assert respawned.status() == one.status()


def test_a_worker_never_takes_another_object_of_the_same_key(key: str, tmp_path: Path) -> None:
    one, two = Regions(enabled=True, folder=tmp_path), Regions(enabled=True, folder=tmp_path)
    one.register("frames", key, 0, 100)
    aside = file(key).with_suffix(".new")
    aside.write_bytes(bytes(10_000))
    aside.replace(file(key))
    assert bytes(one.read("frames", 1, 1)) == b"\1"
    with pytest.raises(BadRequest, match="another object than when 'frames' was registered"):
        two.read("frames", 1, 1)


def test_workers_registering_at_once_lose_nothing(key: str, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from joulebox.runtime.regions import Regions\n"
        "regions = Regions(enabled=True, folder=Path(sys.argv[1]))\n"
        "for number in range(50): regions.register(f'{sys.argv[3]}-{number}', sys.argv[2], 0, 1)"
    )
    workers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), key, name]) for name in "ab"]
    assert [worker.wait(30) for worker in workers] == [0, 0]
    assert len(Regions(enabled=True, folder=tmp_path).status()) == 100


def test_tritons_client_library_fills_and_reads_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files("tritonclient") if find_spec("tritonclient") else None
    names = SimpleNamespace(resource_filename=lambda _, file: str(folder / "utils/shared_memory" / file))
    monkeypatch.setitem(
        sys.modules, "pkg_resources", names
    )  # gone from setuptools; the client looks its library up there
    shared = pytest.importorskip("tritonclient.utils.shared_memory", reason="tritonclient is not installed")
    images = np.arange(32, dtype=np.float32).reshape(2, 16)
    name = f"/joulebox-test-{uuid.uuid4().hex}"
    handle = shared.create_shared_memory_region("images", name, 2 * images.nbytes)
    try:
        shared.set_shared_memory_region(handle, [images])
        regions = Regions(enabled=True)
        regions.register("images", name, 0, 2 * images.nbytes)
        array = np.frombuffer(regions.read("images", 0, images.nbytes), np.float32).reshape(2, 16)
        regions.write("images", images.nbytes, images.nbytes, memoryview(np.ascontiguousarray(2 * array)))
        doubled = shared.get_contents_as_numpy(handle, np.float32, [2, 16], offset=images.nbytes)
        assert np.array_equal(doubled, 2 * images)
        regions.unregister("images")
    finally:
        shared.destroy_shared_memory_region(handle)
