"""A host is known by its hardware: the same each time, another one elsewhere, and its name does not matter."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

import pytest

from joulebox.host import Host, describe_host

X86 = "processor\t: 0\nmodel name\t: AMD EPYC 9354P\nprocessor\t: 1\nmodel name\t: AMD EPYC 9354P\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"


def described(folder: Path, files: dict[str, str], machine_id: str | None = None) -> Host:
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if machine_id is not None:
        (folder / "machine-id").write_text(machine_id)
    environment = {"JOULEBOX_SYSFS": str(folder / "sys"), "JOULEBOX_PROCFS": str(folder / "proc")}
    return describe_host(environment, folder / "machine-id")


SERVER = {
    "proc/cpuinfo": X86,
    "proc/meminfo": "MemTotal:       65842424 kB\nMemFree: 1 kB\n",
    "sys/class/dmi/id/sys_vendor": "Example\n",
    "sys/class/dmi/id/product_name": "Server 1\n",
}
BOARD = {"proc/cpuinfo": ARM, "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0"}


def test_the_facts_are_what_the_hardware_says(tmp_path: Path) -> None:
    server, board = described(tmp_path / "a", SERVER, "1" * 32), described(tmp_path / "b", BOARD)
    assert (server.cpu, server.memory_gib, server.board) == ("AMD EPYC 9354P", 63, "Example Server 1")
    assert (board.cpu, board.memory_gib) == ("implementer 0x41, part 0xd0b", None)
    assert board.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert server.architecture == platform.machine()


def test_the_machine_s_id_tells_two_like_machines_apart_and_is_not_said(tmp_path: Path) -> None:
    one, two, none = (described(tmp_path / name, SERVER, name or None) for name in ("1f1f1f", "2e2e2e", "0"))
    assert len({one.fingerprint, two.fingerprint, none.fingerprint}) == 3
    assert "1f1f1f" not in str(one.facts)


@pytest.mark.parametrize("file", SERVER)
def test_other_hardware_is_another_host(tmp_path: Path, file: str) -> None:
    changed = {**SERVER, file: SERVER[file].replace("9354P", "9654P").replace("6584", "3184").replace("e", "a", 1)}
    assert described(tmp_path / "a", SERVER).fingerprint != described(tmp_path / "b", changed).fingerprint


def test_another_kernel_s_share_of_the_memory_is_the_same_host(tmp_path: Path) -> None:
    changed = {**SERVER, "proc/meminfo": "MemTotal:       65710032 kB\n"}
    assert described(tmp_path / "a", SERVER).fingerprint == described(tmp_path / "b", changed).fingerprint


def test_a_host_that_says_nothing_has_a_fingerprint_too(tmp_path: Path) -> None:
    host = described(tmp_path / "a", {})
    assert len(host.fingerprint) == 16
    assert (host.cpu, host.memory_gib, host.board) == (None, None, None)


def test_the_name_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = describe_host({})
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert describe_host({}) == before
