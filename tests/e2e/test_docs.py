"""The commands in the documentation do what it says."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from joulebox.runtime.settings import Settings, variable
from laid import LaidHost

Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]
BIN = Path(sys.executable).parent


def commands(page: Path) -> list[str]:
    """The lines of a page's `sh` blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def pages(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


@functools.cache
def options(command: str) -> str:
    """What `joulebox COMMAND --help` shows."""
    words, room = [BIN / "joulebox", command, "--help"], {"COLUMNS": "200"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=room).stdout


def test_what_the_pages_run_exists(root: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in pages(root):
        for command in commands(page):
            program, *arguments = command.split()
            if program == "make":
                assert arguments[0] in targets, f"{page.name}: {command}"
            if program == "joulebox":
                known = options(arguments[0])
                for option in (word for word in arguments if word.startswith("--")):
                    assert option in known, f"{page.name}: {command}"


def test_links_lead_somewhere(root: Path) -> None:
    for page in [*pages(root), root / "ARCHITECTURE.md", root / "models/fashion/README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_setting_stands_in_the_table_with_its_default(root: Path) -> None:
    page = (root / "docs/serving.md").read_text("utf-8")
    for field, information in Settings.model_fields.items():
        row = re.search(rf"^\| `{variable(field)}` \| (.*?) \| (.*) \|$", page, re.MULTILINE)
        assert row, f"{field} is missing"
        assert row[2] == information.description
        default = information.default
        if field != "packages":
            assert row[1] == (
                "unset" if default is None else default if isinstance(default, str) else f"{default:.15g}"
            )


@pytest.mark.slow
def test_the_curl_commands_answer(root: Path, serve: Serve, samples: list[tuple[bytes, str]], tmp_path: Path) -> None:
    (tmp_path / "boot.png").write_bytes(samples[0][0])
    lines = [line for line in commands(root / "docs/serving.md") if line.startswith("curl")]
    assert len(lines) == 2
    with serve([str(BIN / "joulebox"), "serve", str(root / "models/fashion/package")]) as client:
        for line in lines:
            here = line.replace("http://127.0.0.1:3000", str(client.base_url).rstrip("/"))
            done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True, check=True)
            assert f'"label":"{samples[0][1]}"' in done.stdout, line


@pytest.mark.slow
def test_bentoml_serve_at_the_root_serves_what_ships(
    root: Path, serve: Serve, samples: list[tuple[bytes, str]]
) -> None:
    with serve([str(BIN / "bentoml"), "serve", str(root)]) as client:
        assert client.post("/models/fashion/predict", content=samples[0][0]).json()["label"] == samples[0][1]


@pytest.mark.slow
def test_engines_are_tuned_and_looked_at_as_their_page_says(
    root: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    page, said = (root / "docs/engines.md").read_text("utf-8"), ""
    lines = [line for line in commands(root / "docs/engines.md") if line.startswith("joulebox")]
    assert [line.split()[1] for line in lines] == ["tune", "doctor"]
    room = {**environment, "JOULEBOX_STATE": str(tmp_path), "COLUMNS": "150"}
    for line in lines:
        shorter = ["--seconds", "0.3"] if "tune" in line else []
        command = [BIN / "joulebox", *line.split()[1:], *shorter]
        done = subprocess.run(command, cwd=root, env=room, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        said += done.stdout
    shown = {" ".join(line.split()) for line in said.splitlines()}
    heads = [line for line in page.splitlines() if line.startswith((" variant", "┃ engine", "┃ fashion"))]
    assert len(heads) == 3
    assert {re.sub(r" [0-9a-f]{16}\b|[ ┃]+", " ", line).strip() for line in heads} <= {
        re.sub(r" [0-9a-f]{16}\b|[ ┃]+", " ", line).strip() for line in shown
    }
    assert "as tuned" in said


def by_children() -> float:
    """Joules so far of the commands that this process runs, at 5 W for a busy core."""
    times = os.times()
    ended_s = times.children_user + times.children_system
    with suppress(psutil.NoSuchProcess):
        return 5.0 * (ended_s + sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children()))
    return 5.0 * ended_s


@pytest.mark.slow
def test_measuring_goes_and_looks_as_its_page_says(root: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """On a host whose counter a thread moves; less long than on the page."""
    page, said = (root / "docs/measure.md").read_text("utf-8"), ""
    with LaidHost(tmp_path, dynamic_joules=by_children).running() as host:
        for line in commands(root / "docs/measure.md"):
            name, *arguments = line.split()[1:]
            shorter = ["--seconds", "2"] if name in {"measure", "calibrate"} else []
            done = subprocess.run(
                [BIN / "joulebox", name, *arguments, *shorter],
                cwd=root,
                env={**environment, **host.environment, "COLUMNS": "150"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{line}: {done.stderr}"
            said += done.stdout
    shown = {" ".join(line.split()) for line in said.splitlines()}
    heads = [line for line in page.splitlines() if line.startswith((" variant", "┃"))]
    assert len(heads) == 3
    assert {" ".join(line.split()) for line in heads} <= shown
    (result,) = json.loads(said[said.rindex("\n{\n") :])["results"]
    named = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    assert {field for row in named for field in re.findall(r"\w+", row)} == set(result)
