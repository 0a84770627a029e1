"""A Jetson is known by its device tree; its release and power mode by NVIDIA's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulebox.host import Jetson, find_jetson

ORIN = "NVIDIA Jetson Orin Nano Developer Kit"
RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
MODES = "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"


def lay(root: Path, files: dict[str, str]) -> Jetson | None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return find_jetson({"JOULEBOX_SYSFS": str(root / "sys")}, root)


def test_one_that_says_all(tmp_path: Path) -> None:
    files = {
        "sys/firmware/devicetree/base/model": f"{ORIN}\0",
        "etc/nv_tegra_release": RELEASE,
        "var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull\n",
        "etc/nvpmodel.conf": MODES,
    }
    assert lay(tmp_path, files) == Jetson(ORIN, "36.4.3", "2 (MAXN_SUPER)")


@pytest.mark.parametrize(
    ("files", "power_mode"),
    [({}, None), ({"var/lib/nvpmodel/status": "pmode:0007\n"}, "7"), ({"var/lib/nvpmodel/status": "?"}, None)],
)
def test_one_in_a_container_that_sees_less(tmp_path: Path, files: dict[str, str], power_mode: str | None) -> None:
    model = {"sys/firmware/devicetree/base/model": ORIN}
    assert lay(tmp_path, {**model, **files}) == Jetson(ORIN, None, power_mode)


@pytest.mark.parametrize("files", [{}, {"sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0"}])
def test_other_boards_are_none(tmp_path: Path, files: dict[str, str]) -> None:
    assert lay(tmp_path, files) is None
