"""The report: what was found out about the model, as JSON for scripts and as one self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.box import SIMPLE_HEAD
from rich.table import Table

from joulebox.bench.words import joules_and_half, scaled_joules
from joulebox.package.manifest import GateResult
from joulebox_build.graph.memory import Memory
from joulebox_build.judge.cost import Cost
from joulebox_build.judge.quality import Quality
from joulebox_build.report.picture import points_of, svg

SCHEMA_VERSION = 2  # 1 had joules with idle power in them


@dataclass(frozen=True)
class Figures:
    """One model's row of the report."""

    name: str
    parameters: int
    bytes: int  # of its ONNX file
    temperature: float  # of the softmax, fitted on validation data
    quality: Quality
    cost: Cost
    memory: Memory


@dataclass(frozen=True)
class Report:
    """All of the evidence."""

    name: str
    profile: str
    labels: tuple[str, ...]
    models: Sequence[Figures]
    gate: list[GateResult]
    samples: Mapping[str, int]  # split to number
    duplicates: Mapping[str, int]  # `train/test` to how many of the second have an identical image in the first
    baselines: Sequence[Mapping[str, Any]]  # how their solvers ended
    training: Sequence[Mapping[str, float]]  # loss and validation accuracy, an epoch each
    machine: Mapping[str, Any]
    host: Mapping[str, Any]  # on which costs were measured
    made_of: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.gate)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "profile": self.profile,
            "passed": self.passed,
            "labels": list(self.labels),
            "models": [asdict(figures) for figures in self.models],
            "gate": [result.model_dump() for result in self.gate],
            "samples": dict(self.samples),
            "duplicates": dict(self.duplicates),
            "baselines": [dict(baseline) for baseline in self.baselines],
            "training": [dict(epoch) for epoch in self.training],
            "machine": dict(self.machine),
            "host": dict(self.host),
            "made_of": dict(self.made_of),
        }

    def files(self) -> dict[str, bytes]:
        """`report.json` and `report.html`."""
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        return {"report.json": text.encode(), "report.html": self._html().encode()}

    def _html(self) -> str:
        environment = Environment(
            loader=PackageLoader("joulebox_build.report", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"joules": joules, "scaled": scaled}
        lineage = json.dumps(dict(self.made_of), indent=1, ensure_ascii=False)
        return environment.get_template("report.html.jinja").render(
            report=self, picture=svg(points_of(self.as_json())), curve=_curve(self.training), lineage=lineage
        )

    def table(self) -> Table:
        """The figures for a terminal."""
        title = f"{self.name}, profile {self.profile}"
        shown = Table("model", title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("parameters", "bytes", "accuracy", "latency", "joules", "source"):
            shown.add_column(column, justify="right")
        for figures in self.models:
            shown.add_row(
                figures.name,
                f"{figures.parameters:,}",
                f"{figures.bytes:,}",
                f"{figures.quality.accuracy:.2%}",
                f"{1000 * figures.cost.latency_median_s:.3f} ms",
                scaled(figures.cost.joules_per_inference),
                figures.cost.energy_source,
            )
        return shown


def joules(cost: Cost) -> str:
    """Of one inference above rest, with half its interval where it has one."""
    if cost.joules_per_inference is None or cost.ci95 is None:
        return scaled(cost.joules_per_inference)
    return joules_and_half(cost.joules_per_inference, (cost.ci95[0], cost.ci95[1]))


def scaled(value: float | None) -> str:
    """Joules in a good unit; unknown is said, never 0."""
    return "unknown" if value is None else scaled_joules(value)


def _curve(training: Sequence[Mapping[str, float]], *, width: int = 640, height: int = 160) -> str:
    """Validation accuracy over the epochs, as the points of an SVG polyline."""
    values = [epoch["validation_accuracy"] for epoch in training]
    low, high = min(values), max(values)
    across, up = width / max(1, len(values) - 1), height / ((high - low) or 1)
    return " ".join(f"{n * across:.1f},{height - (value - low) * up:.1f}" for n, value in enumerate(values))
