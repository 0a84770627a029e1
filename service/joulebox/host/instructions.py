"""Which of the instructions that make small models fast this CPU has, by what Linux says of it in `/proc/cpuinfo`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from joulebox.host.fingerprint import read_text

INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "vector": ("avx2", "avx512f", "asimd", "sve", "sve2"),
    "int8": ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "fp16": ("avx512_fp16", "amx_fp16", "asimdhp"),
}
"""What they compute, to their names in the kernel: x86's, then ARM's."""


def instructions(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Those that there are, by what they compute; read under `JOULEBOX_PROCFS`."""
    text = read_text(Path(environment.get("JOULEBOX_PROCFS") or "/proc") / "cpuinfo") or ""
    lines = [line.partition(":") for line in text.splitlines()]
    flags = {flag for name, _, value in lines if name.strip() in {"flags", "Features"} for flag in value.split()}
    return {what: [name for name in names if name in flags] for what, names in INSTRUCTIONS.items()}
