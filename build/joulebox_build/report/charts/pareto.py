"""What accuracy costs: a point for each model, its interval, and the line of those that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from joulebox_build.report.charts import axes
from joulebox_build.report.charts.labels import Box, place
from joulebox_build.report.charts.scale import around
from joulebox_build.report.charts.svg import WIDTH, add, chart, hint, mark, points, rendered, write

HEIGHT, LEFT, TOP, BOTTOM = 250.0, 40.0, 26.0, 214.0


@dataclass(frozen=True)
class Point:
    """A model: its price, its accuracy as a fraction of one with an interval, and which series it is."""

    name: str
    price: float
    accuracy: float
    ci95: Sequence[float]
    series: int


def pareto(models: Sequence[Point], price: str, words: axes.Words) -> Markup:
    """Accuracy over the price, which is better the smaller it is; its axis is logarithmic."""
    picture = chart(HEIGHT, _said(models, price, words))
    across = around([model.price for model in models], LEFT, WIDTH - 8, log=True, margin=0.18)
    up = around([end for model in models for end in model.ci95], BOTTOM, TOP)
    axes.draw(picture, axes.Axis(across, words, price), axes.Axis(up, axes.percent, "test accuracy"))
    best = sorted((model for model in models if unbeaten(model, models)), key=lambda model: model.price)
    if len(best) > 1:
        add(picture, "polyline", "front", points=points((across(each.price), up(each.accuracy)) for each in best))
    places = [(across(model.price), up(model.accuracy)) for model in models]
    for model, (x, y) in zip(models, places, strict=True):
        add(picture, "line", f"whisker c{model.series}", x1=x, x2=x, y1=up(model.ci95[0]), y2=up(model.ci95[1]))
        hint(mark(picture, x, y, model.series), f"{model.name}: {100 * model.accuracy:.2f} %, {words(model.price)}")
    labels = place(places, [model.name for model in models], Box(LEFT, TOP - 4, WIDTH, BOTTOM))
    for model, (x, y), label in zip(models, places, labels, strict=True):
        if label.far:
            add(picture, "line", "leader", x1=x, y1=y, x2=label.x, y2=label.y - 4)
        write(picture, label.x, label.y, model.name, f"name c{model.series} {label.anchor}")
    return rendered(picture)


def unbeaten(model: Point, models: Sequence[Point]) -> bool:
    """Whether no other is at least as good in both, and better in one."""
    return not any(
        other.price <= model.price
        and other.accuracy >= model.accuracy
        and (other.price, other.accuracy) != (model.price, model.accuracy)
        for other in models
    )


def _said(models: Sequence[Point], price: str, words: axes.Words) -> str:
    figures = "; ".join(f"{each.name} {100 * each.accuracy:.2f} % at {words(each.price)}" for each in models)
    return f"Test accuracy over {price}: {figures}"
