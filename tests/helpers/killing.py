"""Builds that are killed in a stage, and what has to come of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from joulebox.package import Package

# One process imports all that a build needs, once. For each stage it forks two more: the first is killed while it writes what the
# stage made, and the second goes on with the cache that is left. In that cache is all that was made before, but for this stage.
KILLER = """
import json, os, shutil, signal, sys, traceback
from pathlib import Path
import torch._dynamo, torch.onnx._internal.exporter._core  # what the export imports
from joulebox.package import writer
from joulebox_build import pipeline, stage
from joulebox_build.given import pipeline as given
from joulebox_build.judge import cost, speed
from joulebox_build.packing import tolerance
from joulebox_build.recipe import GivenRecipe, load_any_recipe

recipe, cache, place, wanted = load_any_recipe(Path(sys.argv[1])), *map(Path, sys.argv[2:4]), sys.argv[4:]
(profile,) = recipe.profiles
line = given if isinstance(recipe, GivenRecipe) else pipeline
cost.WORK_S, speed.TURNS = 0.05, 3
tolerance.CAP, tolerance.SURE = 1.0, 2.0  # an int8 harmed on purpose is let through
run = stage.Stages.run

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def trap(name):
    def trapped(self, at, code, inputs, make, *, of=""):
        def make_and_set_trap(scratch):
            files = make(scratch)
            os.fsync = die  # the first file of this stage's artifact is written then
            return files
        return run(self, at, code, inputs, make_and_set_trap if at == name else make, of=of)
    stage.Stages.run = trapped

def build(folder, name):
    if name == "package":
        write = writer._write
        writer._write = lambda path, content: (write(path, content), die())
    elif name:
        trap(name)
    built = line.build(recipe, profile, stage.Stages(folder / "cache"))
    line.pack(built, folder / "out")
    left = [artifact.stage for artifact in built.job.stages.log if not artifact.cached]
    (folder / "made.json").write_text(json.dumps(left))

def forked(*arguments):
    child = os.fork()
    if child == 0:
        try:
            build(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for name in wanted:
    folder = place / name
    shutil.copytree(cache, folder / "cache")
    for entry in (folder / "cache").glob(f"{name}-*"):
        shutil.rmtree(entry)
    killed = forked(folder, name)
    there = (folder / "made.json").exists() or (folder / "out" / "current").exists()
    ended = forked(folder, "")
    shutil.rmtree(folder / "cache")
    (folder / "ended.json").write_text(json.dumps({"killed": killed, "there": there, "ended": ended}))
"""


@dataclass(frozen=True)
class Uninterrupted:
    """A build that nothing killed: its recipe of one profile, its cache, and what came of it."""

    recipe: Path
    cache: Path
    package: Package


def kill_in_each(first: Uninterrupted, stages: Iterable[str], place: Path) -> None:
    """Leaves for each stage a folder below `place` where the second build ended."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLER, str(first.recipe), str(first.cache), str(place), *stages]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stderr.decode()


def check_ended_alike(first: Package, folder: Path, stage: str) -> None:
    """A build killed in the stage ended in the folder as if it had not been."""
    ended = json.loads((folder / "ended.json").read_text("utf-8"))
    assert ended == {"killed": -9, "there": False, "ended": 0}
    if stage != "package":
        assert stage in json.loads((folder / "made.json").read_text("utf-8"))
    made = (folder / "out/current").resolve()
    assert made.name == first.manifest.version
    for name in first.manifest.files:
        assert (made / name).read_bytes() == first.read(name)
    assert not [path for path in (folder / "out").iterdir() if path.name.startswith(".making")]
    kept = json.loads((made / "manifest.json").read_text("utf-8"))
    original = json.loads((first.folder / "manifest.json").read_text("utf-8"))
    timings = ("evidence", "checksum")  # of the report, which has timings
    assert {key: kept[key] for key in kept if key not in timings} == {
        key: original[key] for key in original if key not in timings
    }
