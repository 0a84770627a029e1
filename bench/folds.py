"""Which way of quantizing models/imagenet loses least, told without its test photos: `python -m bench.folds`.

The calibration photos are cut into three folds; each fold's crops are answered by models that were calibrated on the others'.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from joulebox_build.compress.bias import corrected
from joulebox_build.compress.calibrate import calibrate
from joulebox_build.compress.quantize import prepare, write
from joulebox_build.given import steps
from joulebox_build.given.int8 import first_layers
from joulebox_build.given.job import open_given
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.progress import bar
from joulebox_build.recipe import GivenRecipe, load_any_recipe
from joulebox_build.stage import Stages
from joulebox_build.train.model import import_file

ROOT = Path(__file__).parents[1]
FOLDS, CROPS, HELD_CROPS = 3, 12, 30
FLOATS = (0, 3)  # convolutions that stay in float
HELD = 2  # draws other crops than the recipe's


def main() -> None:
    """Prints how often each form answers as float does."""
    recipe = load_any_recipe(ROOT / "models/imagenet/recipe.yaml")
    assert isinstance(recipe, GivenRecipe)
    data = import_file(recipe.path(recipe.data))
    with tempfile.TemporaryDirectory() as cache:
        job = open_given(recipe, "full", Stages(Path(cache)))
        fp32 = steps.fp32(job).content
    prepared, encode, photos = prepare(fp32), job.given.encode, data.CALIBRATION
    same: dict[tuple[bool, int], list[np.ndarray]] = {}
    for fold in range(FOLDS):
        held = photos[fold::FOLDS]
        calibration = np.concatenate(
            [data.crops(name, CROPS, [0, number]) for number, name in enumerate(photos) if name not in held]
        )
        seen = np.concatenate([data.crops(name, HELD_CROPS, [HELD, photos.index(name)]) for name in held])
        ranges = calibrate(prepared, calibration, encode, "min-max")
        with bar(f"fold {fold + 1} of {FOLDS}", 5) as progress:
            expected = mean_outputs([fp32], encode, seen, progress).argmax(1)
            for corrects, floats in itertools.product((False, True), FLOATS):
                left = first_layers(prepared, floats)
                given = corrected(prepared, calibration, encode, floats=left) if corrects else prepared
                found = mean_outputs([write(given, ranges, floats=left)], encode, seen, progress).argmax(1)
                same.setdefault((corrects, floats), []).append(found == expected)
    table = Table("biases corrected", "convolutions in float", "answers as float's", "crops", box=SIMPLE_HEAD)
    for (corrects, floats), parts in same.items():
        agreed = np.concatenate(parts)
        table.add_row("yes" if corrects else "no", str(floats), f"{agreed.mean():.1%}", str(len(agreed)))
    Console().print(table)


if __name__ == "__main__":
    main()
