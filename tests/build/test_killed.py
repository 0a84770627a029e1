"""A build that is killed in any of its stages, and started again, makes the very package of one that was not."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from joulebox.package import Package
from joulebox_build.job import STAGES
from joulebox_build.pipeline import build, pack
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Stages

KILLED = (*STAGES, "package")
EVERYTHING: dict[
    str, Any
] = {  # that a profile can ask for; a range that cuts off much makes int8 bad enough to be trained on
    "prune": {"macs": 0.7, "epochs": 1},
    "quantize": {"samples": 100, "calibrators": ["percentile"], "percentile": 98, "drop_max": 0, "qat": {"epochs": 1}},
    "variants": ["cpu-int8", "cpu-fp32", "trt-int8"],
    "corruptions": [{"kind": "noise"}],
    "study": {"seeds": 2, "epochs": 1},
    "data_efficiency": {"fractions": [0.5, 1.0], "epochs": 1},
    "gate": {},
}

# One process imports all that a build needs, once. For each stage it forks two more: the first is killed while it writes what the
# stage made, and the second goes on with the cache that is left. In that cache is all that was made before, but for this stage.
KILLER = """
import json, os, shutil, signal, sys, traceback
from pathlib import Path
import torch._dynamo, torch.onnx._internal.exporter._core  # what the export imports
from joulebox.package import writer
from joulebox_build import pipeline, stage
from joulebox_build.judge import cost
from joulebox_build.packing import tolerance
from joulebox_build.recipe import load_recipe

recipe, cache, place, wanted = *map(Path, sys.argv[1:4]), sys.argv[4:]
cost.WORK_S = 0.05
tolerance.CAP, tolerance.SURE = 1.0, 2.0
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
    built = pipeline.build(load_recipe(recipe), "quick", stage.Stages(folder / "cache"))
    pipeline.pack(built, folder / "out")
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
    """A build that nothing killed."""

    recipe: Path
    cache: Path
    package: Package
    stages: set[str]


@pytest.fixture(scope="module")
def uninterrupted(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    place = tmp_path_factory.mktemp("uninterrupted")
    folder = Path(shutil.copytree(trained_folder, place / "model"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
    recipe["profiles"]["quick"].update(EVERYTHING)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    built = build(load_recipe(folder / "recipe.yaml"), "quick", Stages(place / "cache"))
    stages = {artifact.stage for artifact in built.job.stages.log}
    with pytest.MonkeyPatch.context() as patch:  # an int8 so bad is refused, else
        patch.setattr("joulebox_build.packing.tolerance.CAP", 1.0)
        patch.setattr("joulebox_build.packing.tolerance.SURE", 2.0)
        return Uninterrupted(folder / "recipe.yaml", place / "cache", pack(built, place / "out"), stages)


@pytest.fixture(scope="module")
def ends(uninterrupted: Uninterrupted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each stage a folder where the second build ended."""
    place = tmp_path_factory.mktemp("killed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [str(uninterrupted.recipe), str(uninterrupted.cache), str(place), *KILLED]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *arguments], env=environment, check=False, capture_output=True, timeout=900
    )
    assert done.returncode == 0, done.stderr.decode()
    return place


@pytest.mark.slow
def test_a_build_of_everything_runs_every_stage_there_is(uninterrupted: Uninterrupted) -> None:
    assert uninterrupted.stages == set(STAGES)


@pytest.mark.slow
@pytest.mark.parametrize("stage", KILLED)
def test_a_build_killed_there_ends_as_if_it_had_not_been(uninterrupted: Uninterrupted, ends: Path, stage: str) -> None:
    folder = ends / stage
    ended = json.loads((folder / "ended.json").read_text("utf-8"))
    assert ended == {"killed": -9, "there": False, "ended": 0}
    if stage != "package":
        assert stage in json.loads((folder / "made.json").read_text("utf-8"))
    made = (folder / "out/current").resolve()
    first = uninterrupted.package
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
