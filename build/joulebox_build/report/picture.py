"""Accuracy against size as a PNG, for pages elsewhere; the report has its own charts."""

# matplotlib annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from joulebox.package import open_package
from joulebox_build.files import replace_atomically

INK = "#222222"
COLOURS = ("#7f7f7f", "#1f77b4", "#2ca02c", "#d62728", "#9467bd")
MARGIN = 0.25  # of the range, on each side: room for the labels


@dataclass(frozen=True)
class Point:
    """One model: its size as a file and its test accuracy as a fraction."""

    name: str
    bytes: int
    accuracy: float


def points_of(report: Mapping[str, Any]) -> list[Point]:
    """The models of a package's `report.json`."""
    return [Point(model["name"], model["bytes"], model["quality"]["accuracy"]) for model in report["models"]]


def write_png(points: Sequence[Point], path: Path) -> None:
    """The picture on white, written whole or not at all."""
    figure = _draw(points)
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=160, facecolor="white"))


def _draw(points: Sequence[Point]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="size of the file, kB", ylabel="test accuracy, %")
    for number, (point, colour) in enumerate(zip(points, cycle(COLOURS))):
        kilobytes, percent = point.bytes / 1000, 100 * point.accuracy
        axes.plot(kilobytes, percent, "o", markersize=9, color=colour)
        axes.annotate(
            f"{point.name}\n{percent:.2f} %, {kilobytes:,.0f} kB",
            (kilobytes, percent),
            xytext=(0, -10 if number % 2 else 10),  # in turn, as near sizes are neighbours
            textcoords="offset points",
            ha="center",
            va="top" if number % 2 else "bottom",
            color=INK,
            fontsize=9,
        )
    axes.margins(MARGIN)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.25)
    axes.tick_params(which="both", colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for spine in axes.spines.values():
        spine.set_color(INK)
    return figure


if __name__ == "__main__":
    write_png(points_of(json.loads(open_package(Path(sys.argv[1])).read("report.json"))), Path(sys.argv[2]))
