"""The model card of a model that was given: its headings' content from the recipe's README and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulebox_build.report import words
from joulebox_build.report.cardparts import card, details, said, sections, table


def model_card(content: Mapping[str, Any], readme: str) -> str:
    """Markdown of the content of `report.json`, and the README of the recipe's folder."""
    people = sections(readme)
    groups = ", ".join(content["agreement"]["groups"])
    parts = {
        "Model details": details(people, _rows(content)),
        "Intended use": said(people, "Intended use"),
        "Factors": f"{said(people, 'Factors')}\n\n{f'Figures are held apart by: {groups}.' if groups else ''}",
        "Metrics": _metrics(content),
        "Evaluation data": _samples(content, "test", "none is labelled"),
        "Training data": "Not known here: the weights were given. "
        + _samples(content, "calibration", "int8's ranges are of them"),
        "Quantitative analyses": _analyses(content),
        "Ethical considerations": said(people, "Ethical considerations"),
        "Caveats and recommendations": said(people, "Caveats and recommendations"),
    }
    return card(content["name"], parts)


def _rows(content: Mapping[str, Any]) -> dict[str, str]:
    _, ours = content["models"]
    return {
        "model": f"{ours['name']}, {words.count(ours['parameters'])} parameters, {words.count(ours['bytes'])} bytes",
        "shipped as": f"{', '.join(each['name'] for each in content['variants'])}; the host of this build would serve "
        f"{content['first_here']} first",
        "made by": f"`joulebox build`, profile {content['profile']}, from published weights, without training",
        "evidence": "`report.html` and `report.json` beside this page",
    }


def _metrics(content: Mapping[str, Any]) -> str:
    limits = ((each["limit"], f"{each['expected']}; found {words.limit(each['actual'])}") for each in content["gate"])
    verdict = "passed" if content["passed"] else "failed"
    return (
        "How often int8 answers as float does, which is not how often either is right; latency and joules of one inference on "
        f"one thread.\n\nThe gate {verdict}:\n\n{table(('limit', 'expected'), limits)}"
    )


def _samples(content: Mapping[str, Any], part: str, what: str) -> str:
    count, digest = content["samples"][part], content["made_of"]["data"][part]
    return f"{words.count(count)} {part} samples, SHA-256 `{digest}`; {what}."


def _analyses(content: Mapping[str, Any]) -> str:
    agreement = content["agreement"]
    same = {
        "all": agreement["agreement"],
        f"float's confidence at least {content['sure']:.0%}": agreement["sure_agreement"],
    }
    for name, groups in agreement["groups"].items():
        same |= {f"{name} {group}": part for group, part in groups.items()}
    costs = (
        (
            model["name"],
            words.time(model["cost"]["latency_median_s"]),
            f"{words.energy(model['cost'])} ({model['cost']['energy_source']})",
        )
        for model in content["models"]
    )
    shares = ((of, words.percent(part)) for of, part in same.items())
    return f"{table(('model', 'latency', 'energy'), costs)}\n\n{table(('test samples', 'same answer'), shares)}"
