"""Which fast instructions a CPU has, by what Linux says on x86 and on ARM."""

from __future__ import annotations

from pathlib import Path

from joulebox.host import instructions

X86 = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16 clflush\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd evtstrm asimdhp asimddp\nCPU part\t: 0xd42\n"


def found(folder: Path, cpuinfo: str) -> dict[str, list[str]]:
    (folder / "cpuinfo").write_text(cpuinfo)
    return instructions({"JOULEBOX_PROCFS": str(folder)})


def test_a_server_of_x86(tmp_path: Path) -> None:
    assert found(tmp_path, X86) == {
        "vector": ["avx2", "avx512f"],
        "int8": ["avx512_vnni"],
        "bf16": ["avx512_bf16"],
        "fp16": [],
    }


def test_a_jetson_s_arm_cores(tmp_path: Path) -> None:
    assert found(tmp_path, ARM) == {"vector": ["asimd"], "int8": ["asimddp"], "bf16": [], "fp16": ["asimdhp"]}


def test_where_nothing_is_said_there_is_none(tmp_path: Path) -> None:
    assert not any(instructions({"JOULEBOX_PROCFS": str(tmp_path)}).values())
