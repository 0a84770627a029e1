"""The report on a model that was given: figures of its two forms, and how often they say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.box import SIMPLE_HEAD
from rich.table import Table

from joulebox.package.manifest import GateResult
from joulebox_build.given.card import model_card
from joulebox_build.judge.agreement import Agreement
from joulebox_build.judge.cost import Cost
from joulebox_build.packing.offer import Offer
from joulebox_build.report import words

SCHEMA_VERSION = 2  # 1 did not say what is served first


@dataclass(frozen=True)
class GivenFigures:
    """One form's row of the report."""

    name: str
    parameters: int
    bytes: int  # of its ONNX file
    cost: Cost


@dataclass(frozen=True)
class GivenReport:
    """All of the evidence. There are no labels, and so no accuracy."""

    name: str
    profile: str
    models: Sequence[GivenFigures]
    agreement: Agreement
    sure: float
    speedup: float
    offer: Offer  # both forms, as this host would try them
    gate: list[GateResult]
    samples: Mapping[str, int]  # part of the data to number
    machine: Mapping[str, Any]
    host: Mapping[str, Any]  # on which costs were measured
    made_of: Mapping[str, Any]
    readme: str  # of the recipe's folder

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.gate)

    def as_json(self) -> dict[str, Any]:
        plain = asdict(self) | {"gate": [result.model_dump() for result in self.gate]}
        del plain["offer"], plain["readme"]
        return {"schema_version": SCHEMA_VERSION, "passed": self.passed, **plain, **self.offer.as_json()}

    def files(self) -> dict[str, bytes]:
        """`report.json`, `report.html` and `model-card.md`."""
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        environment = Environment(
            loader=PackageLoader("joulebox_build.given", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"energy": _energy, "joules": words.joules, "first_here": words.first_here}
        lineage = json.dumps(dict(self.made_of), indent=1, ensure_ascii=False)
        html = environment.get_template("report.html.jinja").render(report=self, lineage=lineage)
        card = model_card(json.loads(text), self.readme)
        return {"report.json": text.encode(), "report.html": html.encode(), "model-card.md": card.encode()}

    def table(self) -> Table:
        """The figures for a terminal."""
        title = f"{self.name}, profile {self.profile}"
        shown = Table("model", title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("parameters", "bytes", "agreement", "latency", "joules", "source"):
            shown.add_column(column, justify="right")
        for figures, agreement in zip(self.models, (1.0, self.agreement.agreement), strict=True):
            shown.add_row(
                figures.name,
                f"{figures.parameters:,}",
                f"{figures.bytes:,}",
                f"{agreement:.2%}",
                f"{1000 * figures.cost.latency_median_s:.3f} ms",
                words.joules(figures.cost.joules_per_inference),
                figures.cost.energy_source,
            )
        shown.caption, shown.caption_justify = words.first_here(self.offer), "left"
        return shown


def _energy(cost: Cost) -> str:
    return words.energy(asdict(cost))
