"""The report's charts, from the content of `report.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from joulebox_build.judge.calibration import Bin
from joulebox_build.report import words
from joulebox_build.report.charts.axes import percent
from joulebox_build.report.charts.bars import Bar, bars
from joulebox_build.report.charts.confusion import CLASSES_MAX, confusion
from joulebox_build.report.charts.curves import Curve, curves
from joulebox_build.report.charts.dots import Group, dots
from joulebox_build.report.charts.pareto import Point, pareto
from joulebox_build.report.charts.reliability import reliability
from joulebox_build.report.charts.svg import SERIES

Content = Mapping[str, Any]

LARGER = 8  # times what the reference moves: beside more, nothing else would be seen
GROUPS_MAX = 24  # of a slice, the worst
TEACHER, JUDGED, OTHERS = 0, 1, 2  # series


def series_of(content: Content) -> dict[str, int]:
    """Each model's colour and shape."""
    others = [model["name"] for model in content["models"] if model["name"] not in {"teacher", content["judged"]}]
    return {"teacher": TEACHER, content["judged"]: JUDGED} | {
        name: OTHERS + number % (SERIES - OTHERS) for number, name in enumerate(others)
    }


def judged(content: Content) -> dict[str, Any]:
    """The row of the model that all of the gate is for."""
    return _row(content, content["judged"])


def teacher(content: Content) -> dict[str, Any]:
    """The teacher's row."""
    return _row(content, "teacher")


def _row(content: Content, name: str) -> dict[str, Any]:
    return next(model for model in content["models"] if model["name"] == name)


def brief(name: str) -> str:
    """A model's name where there is little room."""
    return name.removeprefix("baseline ")


def charts(content: Content) -> dict[str, Any]:
    """By the names that the template has for them; None for what there is nothing of."""
    quality = judged(content)["quality"]
    labels: Sequence[str] = content["labels"]
    return {
        "by_bytes": _pareto(content, "bytes", "size of the file", words.size),
        "by_latency": _pareto(content, "latency_median_s", "median latency", words.time),
        "reliability": reliability(_bins(content["reliability_as_trained"]), _bins(quality["reliability"])),
        "confusion": confusion(labels, quality["confusion"]) if len(labels) <= CLASSES_MAX else None,
        "slices": list(_slices(content)),
        "memory": _memory(content),
        "classes": _classes(content),
        "sensitivity": _sensitivity(content),
        "data_efficiency": _data_efficiency(content),
        "loss": _training(content, "loss", "training loss", words.amount),
        "validation": _training(content, "validation_accuracy", "validation accuracy", percent),
    }


def confused(content: Content, count: int = 8) -> list[dict[str, Any]]:
    """What is taken for what most often."""
    matrix = judged(content)["quality"]["confusion"]
    if matrix is None:
        return []
    labels = content["labels"]
    found = [
        {"label": labels[row], "answer": labels[column], "count": value, "part": value / sum(counts)}
        for row, counts in enumerate(matrix)
        for column, value in enumerate(counts)
        if row != column and value
    ]
    return sorted(found, key=lambda each: -each["count"])[:count]


def _pareto(content: Content, price: str, title: str, said: Any) -> Markup:
    """Of the models whose price is known."""
    series = series_of(content)
    prices = {each["name"]: _price(each, price) for each in content["models"]}
    return pareto(
        [
            Point(
                brief(model["name"]),
                paid,
                model["quality"]["accuracy"],
                model["quality"]["ci95"],
                series[model["name"]],
            )
            for model in content["models"]
            if (paid := prices[model["name"]]) is not None
        ],
        title,
        said,
    )


def _price(model: Mapping[str, Any], price: str) -> float | None:
    found: dict[str, Any] = {**model, **(model["cost"] or {})}
    return found.get(price)


def _bins(found: Sequence[Mapping[str, Any]]) -> list[Bin]:
    return [Bin(**each) for each in found]


def _slices(content: Content) -> Iterator[Markup]:
    """One chart for each slice of the test data."""
    quality = judged(content)["quality"]
    beside = {(each["slice"], each["group"]): each["accuracy"] for each in teacher(content)["quality"]["groups"]}
    for name, groups in groupby(quality["groups"], lambda each: each["slice"]):
        found = [
            Group(each["group"], each["samples"], each["accuracy"], each["ci95"], beside.get((name, each["group"])))
            for each in groups
        ]
        worst = sorted(found, key=lambda each: each.accuracy)[:GROUPS_MAX]
        title = f"by {name}" if len(worst) == len(found) else f"by {name}: the worst {len(worst)} of {len(found)}"
        yield dots(worst, quality["accuracy"], title)


def _memory(content: Content) -> Markup:
    most = (
        LARGER
        * next(each for each in content["models"] if each["name"] == content["reference"])["memory"]["moved_bytes"]
    )
    parts = ("weights", "activations")
    rows = [
        Bar(
            brief(each["name"]),
            (each["memory"]["weight_bytes"], each["memory"]["moved_bytes"] - each["memory"]["weight_bytes"]),
        )
        for each in content["models"]
        if each["memory"]["moved_bytes"] <= most
    ]
    return bars(rows, parts, words.size)


def _classes(content: Content) -> Markup | None:
    """How many samples each class has to train on, where they are not alike."""
    counts = content["data"]["splits"]["train"]["classes"]
    if max(counts) == min(counts) or len(counts) > GROUPS_MAX:
        return None
    rows = [Bar(label, (count,)) for label, count in zip(content["labels"], counts, strict=True)]
    return bars(rows, ("training samples",), words.count)


def _sensitivity(content: Content) -> Markup | None:
    """How far int8 in one layer alone takes the answers from fp32's."""
    chosen = content["quantization"]
    layers: Sequence[Mapping[str, Any]] = chosen["sensitivity"][:GROUPS_MAX] if chosen else []
    rows = [Bar(each["layer"], (max(0.0, each["score"]["divergence"]),)) for each in layers]
    return bars(rows, ("divergence, nats",), lambda nats: f"{nats:.2g}") if rows else None


def _data_efficiency(content: Content) -> Markup | None:
    found = content["data_efficiency"]
    if len(found) < 2:
        return None
    lines = [
        Curve(name, [(100 * each["fraction"], each[f"{name}_accuracy"]) for each in found], series)
        for name, series in (("test", JUDGED), ("validation", OTHERS))
    ]
    return curves(lines, "% of the labelled data", "accuracy", percent, log=True)


def _training(content: Content, figure: str, title: str, said: Any) -> Markup | None:
    epochs = content["training"]
    if len(epochs) < 2:
        return None
    places = [(float(number), epoch[figure]) for number, epoch in enumerate(epochs, 1)]
    return curves([Curve("", places, JUDGED)], "epoch", title, said)
