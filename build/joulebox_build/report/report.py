"""The report: what was found out about the model, as JSON for scripts, as a page and as a model card for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from joulebox.package.manifest import GateResult
from joulebox_build.evidence import Evidence
from joulebox_build.graph.memory import Memory
from joulebox_build.judge.cost import Cost
from joulebox_build.judge.quality import Quality
from joulebox_build.judge.study import DataPoint, Study
from joulebox_build.packing.offer import Offer
from joulebox_build.report import words
from joulebox_build.report.modelcard import model_card
from joulebox_build.report.page import page
from joulebox_build.report.rates import as_json as rates_as_json
from joulebox_build.report.rates import footprint

SCHEMA_VERSION = 4  # docs/report.md has what earlier ones meant


@dataclass(frozen=True)
class Figures:
    """One model's row of the report."""

    name: str
    parameters: int
    bytes: int  # of its ONNX file
    temperature: float  # of the softmax, fitted on validation data; of all that ships, int8's
    quality: Quality
    cost: Cost | None  # None where it is made for other hardware than this build's CPU
    memory: Memory


@dataclass(frozen=True)
class Report:
    """All of the evidence. `judged` is the model that all limits are for, `reference` the one that speed is compared with."""

    name: str
    profile: str
    judged: str
    reference: str
    offer: Offer  # what ships, as this host would try it
    labels: tuple[str, ...]
    models: Sequence[Figures]
    gate: list[GateResult]
    evidence: Evidence
    baselines: Sequence[Mapping[str, Any]]  # how their solvers ended
    training: Sequence[Mapping[str, float]]  # loss and validation accuracy, an epoch each
    machine: Mapping[str, Any]
    host: Mapping[str, Any]  # on which costs were measured
    made_of: Mapping[str, Any]
    study: Study | None = None  # whether the teacher helps
    data_efficiency: Sequence[DataPoint] = ()

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.gate)

    @property
    def warnings(self) -> Sequence[str]:
        """What is wrong with the data, short of a reason to stop."""
        return self.evidence.data["warnings"]

    def as_json(self) -> dict[str, Any]:
        shown = self.evidence
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "profile": self.profile,
            "passed": self.passed,
            "judged": self.judged,
            "reference": self.reference,
            **self.offer.as_json(),
            "labels": list(self.labels),
            "models": [self._row(figures) for figures in self.models],
            "gate": [result.model_dump() for result in self.gate],
            "reliability_as_trained": [asdict(each) for each in shown.reliability_as_trained],
            "occlusions": [asdict(each) for each in shown.occlusions],
            "data": dict(shown.data),
            "baselines": [dict(baseline) for baseline in self.baselines],
            "training": [dict(epoch) for epoch in self.training],
            "quantization": shown.quantization,
            "study": self.study and asdict(self.study),
            "data_efficiency": [asdict(point) for point in self.data_efficiency],
            "making": dict(shown.making),
            "rates": rates_as_json(shown.rates),
            "machine": dict(self.machine),
            "host": dict(self.host),
            "made_of": dict(self.made_of),
        }

    def _row(self, figures: Figures) -> dict[str, Any]:
        cost = figures.cost
        return {
            **asdict(figures),
            "latency_ratio": self._latency_ratio(figures),
            "footprint": footprint(self.evidence.rates, cost and cost.total_joules_per_inference),
        }

    def _latency_ratio(self, figures: Figures) -> float | None:
        """To fp32: in turns of what ships, of the medians of all else."""
        for each in self.offer.variants:
            if each.model == figures.name:
                return None if each.times_as_fast is None else 1 / each.times_as_fast
        reference = next(each.cost for each in self.models if each.name == self.reference)
        if figures.cost is None or reference is None:
            return None
        return figures.cost.latency_median_s / reference.latency_median_s

    def files(self) -> dict[str, bytes]:
        """`report.json`, `report.html` and `model-card.md`; the latter two hold figures of the first alone."""
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        content = json.loads(text)
        return {
            "report.json": text.encode(),
            "report.html": page(content, self.evidence.samples).encode(),
            "model-card.md": model_card(content, self.evidence.readme).encode(),
        }

    def table(self) -> Table:
        """The figures for a terminal."""
        title = f"{self.name}, profile {self.profile}"
        shown = Table(
            Column("model", overflow="fold"), title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False
        )
        for column in ("parameters", "bytes", "accuracy", "latency", "joules", "source"):
            shown.add_column(column, justify="right")
        for figures in self.models:
            cost = figures.cost
            shown.add_row(
                figures.name,
                f"{figures.parameters:,}",
                f"{figures.bytes:,}",
                f"{figures.quality.accuracy:.2%}",
                f"{1000 * cost.latency_median_s:.3f} ms" if cost else words.UNMEASURED,
                words.joules(cost.joules_per_inference) if cost else words.UNMEASURED,
                cost.energy_source if cost else "",
            )
        shown.caption, shown.caption_justify = words.first_here(self.offer), "left"
        return shown
