"""The commands of docs/bench.md run, and print what it says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]
BIN = Path(sys.executable).parent
PAGE = Path(__file__).resolve().parents[2] / "docs/bench.md"
QUICK = ["--seconds", "0.3", "--warmup", "0.1"]


def lines() -> list[str]:
    """The commands of the page's `sh` blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_the_page_has_commands() -> None:
    assert len(lines()) >= 10
    assert all(line.startswith("joulebox bench ") for line in lines())


@pytest.mark.slow
@pytest.mark.parametrize("line", lines())
def test_a_command_of_the_page_runs(line: str, root: Path, package: Path, serve: Serve, tmp_path: Path) -> None:
    if "--scenario" in line and importlib.util.find_spec("mlperf_loadgen") is None:
        pytest.skip("mlcommons-loadgen is not installed")
    arguments = [word.replace("models/fashion/package", str(package)) for word in shlex.split(line)[1:]]
    if "http://127.0.0.1:3000" not in line:
        done = bench(arguments, tmp_path)
    else:
        with serve([str(BIN / "joulebox"), "serve", str(root / "models/fashion/package")]) as client:
            here = str(client.base_url).rstrip("/")
            done = bench([word.replace("http://127.0.0.1:3000", here) for word in arguments], tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("p99.9" in done.stdout) or ("--json" in line and '"p99.9"' in done.stdout)


def bench(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The page's command for a shorter time: of an option given twice, the last counts."""
    command = [str(BIN / "joulebox"), *arguments, *QUICK]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
