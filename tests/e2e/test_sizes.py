"""What a device has to hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
INSTALLED_BYTES_MAX = 240e6  # the whole CPU runtime, without bytecode


def test_the_cpu_runtime_is_small(root: Path, environment: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "joulebox_build.packing.wheel", tmp_path / "wheels"], env=environment, check=True
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "device"], env=environment, check=True)
    target = tmp_path / "device/lib"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", target]
    wheel = next((tmp_path / "wheels").glob("*.whl"))
    subprocess.run([*command, "-c", root / "constraints.txt", f"{wheel}[cpu]"], env=environment, check=True)
    sizes = {path: path.stat().st_size for path in target.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    by_folder: dict[str, int] = {}
    for path, size in sizes.items():
        name = path.relative_to(target).parts[0]
        by_folder[name] = by_folder.get(name, 0) + size
    assert {"bentoml", "joulebox", "onnxruntime", "numpy"} <= set(by_folder)
    largest = sorted(by_folder.items(), key=lambda item: -item[1])[:8]
    print(f"{sum(sizes.values()) / 1e6:.0f} MB; largest: {largest}")
    assert sum(sizes.values()) <= INSTALLED_BYTES_MAX, f"grew beyond the limit; the largest: {largest}"
