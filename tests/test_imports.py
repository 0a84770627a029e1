"""What a device loads and installs: nothing of the build host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from joulebox_build.packing.wheel import write_wheel

HEAVY = {"torch", "onnx", "onnxscript", "onnxslim", "sklearn", "matplotlib", "joulebox_build"}


@pytest.mark.parametrize("module", ["joulebox", "joulebox.package", "joulebox.server.service", "joulebox.cli.serve"])
def test_a_device_loads_nothing_of_the_build_host(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "joulebox" in loaded
    assert not HEAVY & set(loaded)


def test_the_wheel_holds_joulebox_and_nothing_beside_it(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "wheels")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"joulebox", "joulebox-0.1.0.dist-info"}
    assert "joulebox/server/service.py" in names
    assert "joulebox/py.typed" in names
    assert {"joulebox/grpc/messages.binpb", "joulebox/energy/regions.csv"} <= set(names)


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    first, second = (write_wheel(tmp_path / name).read_bytes() for name in ("one", "two"))
    assert first == second


def test_a_bento_asks_for_exact_versions_and_our_wheel(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "wheels")
    first, *others = (tmp_path / "wheels/requirements.txt").read_text().splitlines()
    assert first == f"./wheels/{wheel.name}"
    assert all("==" in line for line in others)
    names = {line.partition("==")[0] for line in others}
    assert {"bentoml", "onnxruntime", "numpy", "uvloop"} <= names
    assert not names & HEAVY
