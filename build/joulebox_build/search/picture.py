"""A study's trials over two objectives, the front among them, as a picture: PNG or SVG by the name of the file."""

# matplotlib annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial

from joulebox_build.errors import BuildError
from joulebox_build.files import replace_atomically
from joulebox_build.recipe import Objective

AXES: dict[Objective, tuple[str, float]] = {  # what a value is called, and by how much it is multiplied
    "accuracy": ("validation accuracy, %", 100),
    "bytes": ("size of the int8 file, kB", 1e-3),
    "latency": ("median latency on this host, ms", 1e3),
    "joules": ("energy of an inference on this host, mJ", 1e3),
}


def write(
    path: Path, objectives: Sequence[Objective], trials: Sequence[FrozenTrial], front: Sequence[FrozenTrial]
) -> None:
    """The first objective upwards, the second one to the right; written whole or not at all.

    Raises:
        BuildError: there are not two objectives, or no trial.
    """
    check(path, objectives)
    if not trials:
        raise BuildError("--plot: no trial is finished yet")
    figure = _draw(objectives, trials, front)
    with mpl.rc_context({"svg.hashsalt": "joulebox"}):
        kind = path.suffix.removeprefix(".")
        metadata = {"Date": None} if kind == "svg" else {}
        replace_atomically(
            path,
            lambda temporary: figure.savefig(temporary, format=kind, dpi=160, facecolor="white", metadata=metadata),
        )


def check(path: Path, objectives: Sequence[Objective]) -> None:
    """
    Raises:
        BuildError: there are not two objectives, or the file is of another kind.
    """
    if len(objectives) < 2:
        raise BuildError(f"--plot: search.objectives names only {objectives[0]}; a plot needs two")
    if path.suffix not in {".png", ".svg"}:
        raise BuildError(f"--plot {path}: expected a name that ends in .png or .svg")


def _draw(objectives: Sequence[Objective], trials: Sequence[FrozenTrial], front: Sequence[FrozenTrial]) -> Figure:
    (up, up_scale), (right, right_scale) = (AXES[objective] for objective in objectives[:2])

    def points(of: Sequence[FrozenTrial]) -> tuple[list[float], list[float]]:
        return [trial.values[1] * right_scale for trial in of], [trial.values[0] * up_scale for trial in of]

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel=right, ylabel=up)
    axes.plot(*points(trials), "o", color="#7f7f7f", alpha=0.6, label="trials")
    best = sorted(front, key=lambda trial: trial.values[1])
    axes.plot(*points(best), "o-", color="#d62728", label="none is better in all objectives")
    for trial in best:
        (x,), (y,) = points([trial])
        axes.annotate(str(trial.number), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    return figure
