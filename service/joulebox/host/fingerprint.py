"""Which machine this is, by what its hardware says of itself: what was learnt on one is not used on another."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
DIGITS = 16
MOST_BYTES = 2**20  # of /proc/cpuinfo: 4 kB a logical core
BOARDS = (  # below /sys: what a device tree and what a PC's firmware call the machine
    ("firmware/devicetree/base/model",),
    ("class/dmi/id/sys_vendor", "class/dmi/id/product_name"),
)


@dataclass(frozen=True)
class Host:
    """A machine, by a short digest and by what it says of itself."""

    fingerprint: str
    architecture: str
    cpu: str | None
    logical_cores: int | None
    memory_gib: int | None
    """Rounded up, since a kernel keeps some for itself, and not always as much."""
    board: str | None

    @property
    def facts(self) -> dict[str, str | int | None]:
        """For people and reports. The machine's id is in the digest alone."""
        return {
            "fingerprint": self.fingerprint,
            "architecture": self.architecture,
            "cpu": self.cpu,
            "logical_cores": self.logical_cores,
            "memory_gib": self.memory_gib,
            "board": self.board,
        }


def describe_host(environment: Mapping[str, str], machine_id: Path = MACHINE_ID) -> Host:
    """This host, read under `JOULEBOX_SYSFS` and `JOULEBOX_PROCFS`; not its name, which changes with every container."""
    sysfs = Path(environment.get("JOULEBOX_SYSFS") or "/sys")
    procfs = Path(environment.get("JOULEBOX_PROCFS") or "/proc")
    unnamed = Host(
        "", platform.machine(), _cpu(procfs / "cpuinfo"), os.cpu_count(), _memory(procfs / "meminfo"), _board(sysfs)
    )
    said = {**unnamed.facts, "machine_id": read_text(machine_id)}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return Host(
        digest[:DIGITS], unnamed.architecture, unnamed.cpu, unnamed.logical_cores, unnamed.memory_gib, unnamed.board
    )


def _cpu(cpuinfo: Path) -> str | None:
    """The model's name; on ARM, which gives none, who made the core and which one it is."""
    fields: dict[str, str] = {}
    for line in (read_text(cpuinfo) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return f"implementer {fields.get('CPU implementer')}, part {fields['CPU part']}"
    return None


def available_memory(environment: Mapping[str, str]) -> int | None:
    """Bytes that can be had without swapping, by Linux's own estimate; None where it does not say."""
    found = _kib(Path(environment.get("JOULEBOX_PROCFS") or "/proc") / "meminfo", "MemAvailable")
    return None if found is None else found * 2**10


def _memory(meminfo: Path) -> int | None:
    found = _kib(meminfo, "MemTotal")
    return None if found is None else math.ceil(found / 2**20)


def _kib(meminfo: Path, field: str) -> int | None:
    for line in (read_text(meminfo) or "").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if name == field and words and words[0].isdigit():
            return int(words[0])
    return None


def _board(sysfs: Path) -> str | None:
    for names in BOARDS:
        said = " ".join(text for name in names if (text := read_text(sysfs / name)))
        if said:
            return said
    return None


def read_text(path: Path) -> str | None:
    """A file's text without white space and NULs around it; None where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode(errors="replace").strip(" \t\r\n\0") or None
    except OSError:
        return None
