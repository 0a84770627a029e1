"""Training holds no more memory than it says before it starts: measured, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECIPE = Path(__file__).parents[3] / "models/fashion/recipe.yaml"
TRAINING = """
import json, re, sys
from pathlib import Path
import numpy as np
import torch._dynamo  # what torch imports when it makes its first optimizer
from joulebox_build.data.dataset import Split
from joulebox_build.data.encode import normalized
from joulebox_build.progress import Silent
from joulebox_build.recipe import Distillation, load_recipe
from joulebox_build.train.distill import LazyViews, View, distillation
from joulebox_build.train.fit import Lesson, fit
from joulebox_build.train.memory import inputs_bytes
from joulebox_build.train.model import load_folder, seeded

def mib(field):
    # Not getrusage's ru_maxrss, which begins with what the parent held.
    return int(re.search(rf"{field}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

recipe, settings, samples = load_recipe(Path(sys.argv[1])), json.loads(sys.argv[2]), int(sys.argv[3])
settings, folder = Distillation(**settings), load_folder(recipe)
encode = lambda images: normalized(images, recipe.preprocess)
before = mib("VmRSS")
random = np.random.default_rng(0)
images = random.integers(0, 256, (samples, 1, 28, 28)).astype(np.uint8)
split = Split(images, np.arange(samples) % 10)
said = random.normal(size=(samples, 10)).astype(np.float16)
batch = distillation(LazyViews(1, lambda _: View(images.copy(), said, None)), split.labels, settings)
held = 2 * inputs_bytes(images) + said.nbytes

class Told(Silent):
    def say(self, text):
        found = re.search(r"holds up to (\\d+) MiB", text)
        if found:
            self.mib = int(found[1])

told = Told()
lesson = Lesson(samples, batch, split.first(200), encode, 0, held)
fit(seeded(folder.student, 0), lesson, settings, told)
print(json.dumps({"said": told.mib, "held": mib("VmHWM") - before, "before": before}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "samples"),
    [
        pytest.param({"epochs": 2, "batch": 128, "learning_rate": 0.1}, 400, id="as the recipe trains"),
        pytest.param({"epochs": 1, "batch": 1024, "learning_rate": 0.1}, 1024, id="large batches"),
        pytest.param(
            {"epochs": 2, "batch": 64, "optimizer": "adamw", "learning_rate": 0.01, "average": 0.9, "patience": 2},
            300,
            id="more copies of the weights",
        ),
    ],
)
def test_the_shipped_student_is_trained_within_what_it_says(settings: dict[str, Any], samples: int) -> None:
    found = measured(settings, samples)
    assert found["held"] <= found["said"]
    assert found["said"] <= 4 * found["held"] + 96, "a figure that no training comes near says nothing"


def measured(settings: dict[str, Any], samples: int) -> dict[str, float]:
    """MiB, beside those of the libraries."""
    command = [sys.executable, "-c", TRAINING, str(RECIPE), json.dumps(settings), str(samples)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
