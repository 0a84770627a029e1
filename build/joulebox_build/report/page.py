"""The report as one page of HTML that needs nothing else: every figure is one of `report.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined

from joulebox_build.judge.occlusion import words_of
from joulebox_build.report import words
from joulebox_build.report.charts.heat import heat
from joulebox_build.report.figures import Content, brief, charts, confused, judged, series_of, teacher
from joulebox_build.report.sample import FAINTEST, Sample, shades

NO_SAMPLE = Sample()


def page(content: Content, samples: Mapping[int, Sample]) -> str:
    """HTML of the content of `report.json`, and of the test samples that it names, by their numbers."""
    environment = Environment(
        loader=PackageLoader("joulebox_build.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cast(dict[str, Any], environment.filters).update({**words.FILTERS, "brief": brief})
    models, ours = content["models"], judged(content)
    baselines = [model for model in models if model["name"] in {each["name"] for each in content["baselines"]}]
    return environment.get_template("report.html.jinja").render(
        report=content,
        ours=ours,
        teacher=teacher(content),
        best_baseline=max(baselines, key=lambda model: model["quality"]["accuracy"]),
        series=series_of(content),
        variant_of={each["model"]: each for each in content["variants"]},
        int8=next(each for each in content["variants"] if each["model"] == content["judged"]),
        charts=charts(content),
        confused=confused(content),
        mistakes=[_named(content, each, samples) for each in ours["quality"]["mistakes"]],
        occlusions=[_explained(content, each, samples) for each in content["occlusions"]],
        lineage=list(_flat(content["made_of"])) + list(_flat({"trained on": content["machine"]})),
        host=list(_flat(content["host"])),
    )


def _named(content: Content, found: Mapping[str, Any], samples: Mapping[int, Sample]) -> dict[str, Any]:
    labels = content["labels"]
    return {
        **found,
        "label": labels[found["label"]],
        "answer": labels[found["answer"]],
        "right": found["label"] == found["answer"],
        "shown": samples.get(found["sample"], NO_SAMPLE),
    }


def _explained(content: Content, found: Mapping[str, Any], samples: Mapping[int, Sample]) -> dict[str, Any]:
    """An occlusion, as shades over its picture or as words with their strength."""
    named, drops = _named(content, found, samples), found["drops"]
    every = [drop for row in drops for drop in row]
    named["largest"] = max([0.0, *every])
    shown: Sample = named["shown"]
    words_ = f"{named['answer']}, {found['confidence']:.1%}: the image, and where covering it changes that"
    named["heat"] = heat(shown.picture, shades(drops), words_) if shown.picture else None
    strongest = max([FAINTEST, *(abs(drop) for drop in every)])
    pairs = zip(words_of(shown.text or ""), every, strict=False)
    named["words"] = [{"text": word, "drop": drop, "strength": round(abs(drop) / strongest, 2)} for word, drop in pairs]
    return named


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names with dots for what is nested."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(cast(Mapping[str, Any], inner), f"{prefix}{name} · ")
        else:
            yield f"{prefix}{name}", ", ".join(map(str, cast(list[Any], inner))) if isinstance(inner, list) else inner
