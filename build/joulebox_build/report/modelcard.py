"""The model card: the headings of Mitchell et al. 2019 (arXiv:1810.03993), filled from the recipe's README and the report.

What only people know, such as what the model is for, stands in the README under the same headings and is taken over from
there; where it does not, the card says that nobody has said it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from joulebox_build.report import words
from joulebox_build.report.figures import Content, judged, teacher

HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
FROM_PEOPLE = ("Intended use", "Factors", "Ethical considerations", "Caveats and recommendations")


def model_card(content: Content, readme: str) -> str:
    """Markdown of the content of `report.json`, and the README of the recipe's folder."""
    said = sections(readme)
    parts = {
        "Model details": _details(content, said.get("", "")),
        "Intended use": _said(said, "Intended use"),
        "Factors": f"{_said(said, 'Factors')}\n\n{_groups(content)}",
        "Metrics": _metrics(content),
        "Evaluation data": _data(content, "test"),
        "Training data": _data(content, "train"),
        "Quantitative analyses": _analyses(content),
        "Ethical considerations": _said(said, "Ethical considerations"),
        "Caveats and recommendations": _said(said, "Caveats and recommendations"),
    }
    text = "\n\n".join(f"## {heading}\n\n{part.strip()}" for heading, part in parts.items())
    return f"# Model card: {content['name']}\n\n{text}\n"


def sections(readme: str) -> dict[str, str]:
    """The text below each heading, by its words in lower case; what stands below the title has none."""
    parts = HEADING.split(readme)
    found = {heading.lower(): text.strip() for heading, text in zip(parts[1::2], parts[2::2], strict=True)}
    title = parts[1].lower() if len(parts) > 1 else None
    return {**found, "": parts[0].strip() if title is None else found[title]}


def _said(said: Mapping[str, str], heading: str) -> str:
    return said.get(heading.lower()) or f"Not said: the recipe's README.md has no section “{heading}”."


def _details(content: Content, described: str) -> str:
    ours, first = judged(content), described.partition("\n\n")[0]
    rows = {
        "model": f"{content['judged']}, {words.count(ours['parameters'])} parameters, {words.count(ours['bytes'])} bytes",
        "shipped as": f"{', '.join(each['name'] for each in content['variants'])}; the host of this build would serve "
        f"{content['first_here']} first",
        "answers": f"one of {len(content['labels'])} classes: {', '.join(content['labels'][:20])}"
        + ("…" if len(content["labels"]) > 20 else ""),
        "made by": f"`joulebox build`, profile {content['profile']}, distilled from a teacher of "
        f"{words.count(teacher(content)['parameters'])} parameters",
        "evidence": "`report.html` and `report.json` beside this page",
    }
    return f"{first}\n\n{_table(('what', ''), rows.items())}"


def _groups(content: Content) -> str:
    groups = sorted({each["slice"] for each in judged(content)["quality"]["groups"]})
    return f"Figures are held apart by: {', '.join(groups)}."


def _metrics(content: Content) -> str:
    limits = ((each["limit"], f"{each['expected']}; found {words.limit(each['actual'])}") for each in content["gate"])
    verdict = "passed" if content["passed"] else "failed"
    return (
        "Accuracy with Wilson's 95 % interval; expected calibration error over 15 bins of equally many samples; accuracy of "
        f"the worst group; latency and joules of one inference on one thread.\n\nThe gate {verdict}:\n\n"
        f"{_table(('limit', 'expected'), limits)}"
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
    return _table((content["data"]["kind"], name), rows.items())


def _analyses(content: Content) -> str:
    header = ("model", "accuracy", "95 % interval", "ECE", "worst group", "latency", "energy")
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    for model in content["models"]:
        quality, cost, worst = model["quality"], model["cost"], model["quality"]["worst_group"]
        low, high = quality["ci95"]
        cells = (
            model["name"],
            words.percent(quality["accuracy"]),
            f"{words.percent(low)} to {words.percent(high)}",
            words.percent(quality["calibration_error"]),
            f"{worst['slice']} {worst['group']}: {words.percent(worst['accuracy'])}" if worst else "–",
            words.time(cost["latency_median_s"]) if cost else words.UNMEASURED,
            f"{words.energy(cost)} ({cost['energy_source']})" if cost else words.UNMEASURED,
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _table(header: tuple[str, str], rows: Any) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)])


def _cell(text: str) -> str:
    """Without what would end the cell or begin HTML: labels are data."""
    return re.sub(r"[|<>]", lambda found: f"\\{found.group()}", " ".join(text.split()))
