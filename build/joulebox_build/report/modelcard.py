"""The model card of a student: its headings' content from the recipe's README and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulebox_build.report import words
from joulebox_build.report.cardparts import card, details, said, sections, table
from joulebox_build.report.figures import Content, judged, teacher


def model_card(content: Content, readme: str) -> str:
    """Markdown of the content of `report.json`, and the README of the recipe's folder."""
    people = sections(readme)
    parts = {
        "Model details": details(people, _rows(content)),
        "Intended use": said(people, "Intended use"),
        "Factors": f"{said(people, 'Factors')}\n\n{_groups(content)}",
        "Metrics": _metrics(content),
        "Evaluation data": _data(content, "test"),
        "Training data": _data(content, "train"),
        "Quantitative analyses": _analyses(content),
        "Ethical considerations": said(people, "Ethical considerations"),
        "Caveats and recommendations": said(people, "Caveats and recommendations"),
    }
    return card(content["name"], parts)


def _rows(content: Content) -> dict[str, str]:
    ours = judged(content)
    return {
        "model": f"{content['judged']}, {words.count(ours['parameters'])} parameters, {words.count(ours['bytes'])} bytes",
        "shipped as": f"{', '.join(each['name'] for each in content['variants'])}; the host of this build would serve "
        f"{content['first_here']} first",
        "answers": f"one of {len(content['labels'])} classes: {', '.join(content['labels'][:20])}"
        + ("…" if len(content["labels"]) > 20 else ""),
        "made by": f"`joulebox build`, profile {content['profile']}, distilled from a teacher of "
        f"{words.count(teacher(content)['parameters'])} parameters",
        "evidence": "`report.html` and `report.json` beside this page",
    }


def _groups(content: Content) -> str:
    groups = sorted({each["slice"] for each in judged(content)["quality"]["groups"]})
    return f"Figures are held apart by: {', '.join(groups)}."


def _metrics(content: Content) -> str:
    limits = ((each["limit"], f"{each['expected']}; found {words.limit(each['actual'])}") for each in content["gate"])
    verdict = "passed" if content["passed"] else "failed"
    return (
        "Accuracy with Wilson's 95 % interval; expected calibration error over 15 bins of equally many samples; accuracy of "
        f"the worst group; latency and joules of one inference on one thread.\n\nThe gate {verdict}:\n\n"
        f"{table(('limit', 'expected'), limits)}"
    )


def _data(content: Content, name: str) -> str:
    split = content["data"]["splits"][name]
    counts = split["classes"]
    shared = {pair: count for pair, count in content["data"]["duplicates"].items() if name in pair.split("/")}
    rows = {
        "samples": words.count(split["samples"]),
        "of each class": words.count(min(counts))
        if min(counts) == max(counts)
        else f"{words.count(min(counts))} to {words.count(max(counts))}",
        "SHA-256": f"`{split['sha256']}`",
        **{f"identical samples, {pair}": words.count(count) for pair, count in shared.items()},
    }
    return table((content["data"]["kind"], name), rows.items())


def _analyses(content: Content) -> str:
    header = ("model", "accuracy", "95 % interval", "ECE", "worst group", "latency", "energy")
    return table(header, map(_analysis, content["models"]))


def _analysis(model: Mapping[str, Any]) -> tuple[str, ...]:
    quality, cost, worst = model["quality"], model["cost"], model["quality"]["worst_group"]
    low, high = quality["ci95"]
    return (
        model["name"],
        words.percent(quality["accuracy"]),
        f"{words.percent(low)} to {words.percent(high)}",
        words.percent(quality["calibration_error"]),
        f"{worst['slice']} {worst['group']}: {words.percent(worst['accuracy'])}" if worst else "–",
        words.time(cost["latency_median_s"]) if cost else words.UNMEASURED,
        f"{words.energy(cost)} ({cost['energy_source']})" if cost else words.UNMEASURED,
    )
