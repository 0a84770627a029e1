"""The page: every figure in it is one of report.json; it needs nothing else, and labels and texts stay text in it."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from joulebox_build.evidence import Evidence
from joulebox_build.packing.offer import offer
from joulebox_build.report import words
from joulebox_build.report.page import page
from joulebox_build.report.report import Report
from joulebox_build.report.sample import Sample
from webpage import WebPage

EVIL = '<script>alert("1")</script>'
IMAGE = "data:image/png;base64,"


@pytest.fixture(scope="module")
def report(first_build: Any) -> Report:
    return first_build.built.report


@pytest.fixture(scope="module")
def models(first_build: Any) -> Any:
    """The variants by their names."""
    return first_build.built.made.variants


@pytest.fixture(scope="module")
def content(report: Report) -> dict[str, Any]:
    return json.loads(report.files()["report.json"])


@pytest.fixture
def changed(content: dict[str, Any]) -> dict[str, Any]:
    """This test's own, to be changed."""
    return deepcopy(content)


@pytest.fixture(scope="module")
def seen(report: Report) -> WebPage:
    return WebPage(report.files()["report.html"].decode())


def with_mistake(content: dict[str, Any]) -> dict[str, Any]:
    mistake = {"sample": 7, "label": 0, "answer": 1, "confidence": 0.987}
    ours = next(model for model in content["models"] if model["name"] == content["judged"])
    ours["quality"]["mistakes"] = [mistake]
    content["occlusions"] = [{**mistake, "drops": [[0.25, -0.125, 0.0]]}]
    return content


def test_sections_come_in_the_order_of_a_sceptic(seen: WebPage) -> None:
    found = [each.attributes["id"] for each in seen.named("section")]
    assert found == ["models", "quality", "mistakes", "decides", "cost", "data", "making", "lineage"]
    assert seen.text.index("The gate") < seen.text.index("The model beside its teacher")


def test_the_gate_is_as_in_the_json(seen: WebPage, content: dict[str, Any]) -> None:
    rows = seen.table("The gate").rows[1:]
    assert [row[:3] for row in rows] == [
        [each["limit"], each["expected"], words.limit(each["actual"])] for each in content["gate"]
    ]
    assert all("passed" in row[3] for row in rows)


def test_a_limit_that_was_missed_is_marked(changed: dict[str, Any]) -> None:
    changed["gate"][0]["passed"] = changed["passed"] = False
    seen = WebPage(page(changed, {}))
    assert "✗ FAILED" in seen.table("The gate").rows[1][3]
    assert "The gate ✗ failed" in seen.text


def test_each_models_figures_are_those_of_the_json(seen: WebPage, content: dict[str, Any]) -> None:
    table = seen.table("Quality on the test data")
    for number, model in enumerate(content["models"], 1):
        quality, cost = model["quality"], model["cost"]
        low, high = quality["ci95"]
        expected = {
            "parameters": words.count(model["parameters"]),
            "bytes": words.count(model["bytes"]),
            "peak memory": words.size(model["memory"]["peak_activation_bytes"]),
            "accuracy": f"{words.percent(quality['accuracy'])} {words.percent(low)} – {words.percent(high)}",
            "calibration error": words.percent(quality["calibration_error"]),
            "agreement": words.percent(quality["agreement"]),
            "latency, median": words.time(cost["latency_median_s"]),
            "latency, p99": words.time(cost["latency_p99_s"]),
            "to fp32": words.ratio(model["latency_ratio"]),
            "energy": f"{words.energy(cost)} {cost['energy_source']}",
        }
        assert {name: table.row(name)[number] for name in expected} == expected


def test_it_says_what_ships_and_what_this_host_would_serve_first(seen: WebPage, content: dict[str, Any]) -> None:
    assert {each["name"] for each in content["variants"]} == {"cpu-int8", "cpu-fp32"}
    assert f"it would serve {content['first_here']} first" in seen.text
    heads = seen.table("Quality on the test data").rows[0]
    assert {"student fp32 cpu-fp32", "student int8 cpu-int8"} <= set(heads)


@pytest.mark.parametrize(("times_as_fast", "slower"), [(2.0, False), (0.97, False), (0.5, True)])
def test_an_int8_that_is_slower_than_fp32_is_said_to_be_and_fp32_is_served_first(
    report: Report, models: Any, times_as_fast: float, slower: bool
) -> None:
    found = replace(report, offer=offer(models, {"cpu-fp32": 1.0, "cpu-int8": times_as_fast}, 1e-4))
    seen, first = WebPage(found.files()["report.html"].decode()), "cpu-fp32" if slower else "cpu-int8"
    sentence = "On this host cpu-int8 is slower than fp32 (2 × its time, both in turns), so it is not preferred here."
    assert (sentence in seen.text) == slower
    assert f"it would serve {first} first" in seen.text
    above = "The figures above are student int8's; this host would serve cpu-fp32 first, whose figures are those of student fp32 below"
    assert (above in seen.text) == slower
    assert seen.table("Quality on the test data").row("to fp32")[3] == words.ratio(1 / times_as_fast)
    assert f"would serve {first} first" in str(found.table().caption)
    assert f"would serve {first} first" in found.files()["model-card.md"].decode()
    assert json.loads(found.offer.latency())["latency_s"]["cpu-int8"] == 1e-4 / times_as_fast


def test_data_memory_and_stages_are_those_of_the_json(seen: WebPage, content: dict[str, Any]) -> None:
    data, making = content["data"], content["making"]
    assert [row[:2] for row in seen.table("Splits").rows[1:]] == [
        [name, words.count(split["samples"])] for name, split in data["splits"].items()
    ]
    assert [row[:2] for row in seen.table("Contamination").rows[1:]] == [
        [pair, words.count(shared)] for pair, shared in data["duplicates"].items()
    ]
    assert [row[2] for row in seen.table("Memory of one").rows[1:]] == [
        words.size(model["memory"]["moved_bytes"]) for model in content["models"]
    ]
    assert [(row[0], row[2], row[3]) for row in seen.table("Stages").rows[1:-2]] == [
        (stage["stage"], words.time(stage["seconds"]), words.joules(stage["joules"])) for stage in making["stages"]
    ]
    for row, name in zip(seen.table("Stages").rows[-2:], ("training", "evidence"), strict=True):
        assert row[0] == name
        assert row[2:4] == [words.time(making[f"{name}_seconds"]), words.joules(making[f"{name}_joules"])]


def test_mistakes_and_maps_are_those_of_the_json(changed: dict[str, Any]) -> None:
    seen = WebPage(page(with_mistake(changed), {7: Sample(picture=IMAGE)}))
    assert "down , 98.7 % is across · sample 7".replace(" ,", ",") in seen.text.replace(" ,", ",").replace("\xa0", " ")
    assert "−25.0 points at most" in seen.text
    assert [each.attributes["alt"] for each in seen.named("img")] == ["test sample 7"]


def test_words_that_matter_are_shaded_by_how_much(changed: dict[str, Any]) -> None:
    changed["data"]["kind"] = "texts"
    seen = WebPage(page(with_mistake(changed), {7: Sample(text="not at all")}))
    shades = [each.attributes for each in seen.named("span") if "word" in each.attributes.get("class", "")]
    assert [(each["class"], each["style"]) for each in shades] == [
        ("word", "--strength:1.0"),
        ("word rose", "--strength:0.5"),
        ("word", "--strength:0.0"),
    ]


def test_what_is_unknown_says_so_and_is_not_zero(changed: dict[str, Any]) -> None:
    for model in changed["models"]:
        model["cost"] |= {"joules_per_inference": None, "ci95": None, "total_joules_per_inference": None}
        model["cost"] |= {"energy_source": "none", "energy_note": "no counter"}
    changed["making"] |= {"training_seconds": None, "training_joules": None}
    seen = WebPage(page(changed, {}))
    assert seen.table("Quality on the test data").row("energy")[1:] == ["unknown none"] * len(changed["models"])
    assert seen.table("Stages").rows[-2][2:4] == ["unknown", "unknown"]
    assert "Energy of teacher is unknown: no counter." in seen.text


def test_carbon_and_money_are_shown_where_they_are_set_and_said_not_to_be_where_not(
    changed: dict[str, Any], seen: WebPage
) -> None:
    assert "Not set: neither a region or carbon intensity nor a price" in seen.text
    rate = {"grams_per_kwh": 344.1, "intensity_source": "configured", "price_per_kwh": None, "currency": None}
    changed["rates"] = rate
    for model in changed["models"]:
        model["footprint"] = {"grams_per_million": 0.0136, "cost_per_million": None}
    found = WebPage(page(changed, {}))
    assert found.table("Quality").row("g CO₂e")[1] == "0.0136"
    assert "344.1 g CO₂e/kWh (configured)" in found.text


def test_studies_are_shown_where_there_are_any(changed: dict[str, Any], seen: WebPage) -> None:
    assert "Does the teacher help?" not in seen.text
    score = {"accuracy": 0.93, "cross_entropy": 0.21, "divergence": 0.01}
    changed["study"] = {
        "seeds": [0, 1],
        "epochs": 5,
        "taught": {"method": "hinton", "validation": [0.9, 0.91], "test": [0.91, 0.92]},
        "alone": {"method": "none", "validation": [0.9, 0.91], "test": [0.9, 0.905]},
        "interval": [0.001, 0.024],
        "verdict": "the teacher helps by 1.25 points [0.10, 2.40]",
    }
    changed["data_efficiency"] = [
        {"fraction": part, "samples": 9, "validation_accuracy": 0.8, "test_accuracy": 0.7 + part} for part in (0.1, 0.2)
    ]
    changed["quantization"] = {
        "fp32": score,
        "score": score,
        "trained": False,
        "calibrator": "entropy",
        "calibrators": [{"calibrator": "entropy", "score": score}],
        "float_layers": ["head"],
        "sensitivity": [{"layer": "stem", "score": score}],
    }
    found = WebPage(page(changed, {}))
    assert "the teacher helps by 1.25 points [0.10, 2.40]" in found.text
    assert found.table("Test accuracy of the same student").rows[1][3] == "+1.00 points"
    assert found.table("Calibrators").rows[1][0] == "entropy kept"
    assert "stay in float: head" in found.text
    labels = " ".join(each.attributes["aria-label"] for each in found.named("svg"))
    assert "test 90 %" in labels
    assert "stem divergence, nats 0.01" in labels


def test_it_asks_for_nothing_beyond_itself_and_runs_nothing(changed: dict[str, Any], seen: WebPage) -> None:
    for each in (seen, WebPage(page(with_mistake(changed), {7: Sample(picture=IMAGE)}))):
        assert all(address.startswith(("data:image/png;base64,", "#")) for address in each.addresses())
        assert not each.named("script", "link", "iframe", "object", "embed", "base", "form", "video", "audio")
        assert not [name for element in each.elements for name in element.attributes if name.startswith("on")]


def test_links_within_it_lead_somewhere(seen: WebPage) -> None:
    ids = {each.attributes.get("id") for each in seen.elements}
    assert {each.attributes["href"].removeprefix("#") for each in seen.named("a")} <= ids


def test_labels_names_and_texts_are_data_wherever_they_stand(changed: dict[str, Any]) -> None:
    hostile = _hostile(with_mistake(changed), ("across", "down", "student int8"))
    for sample in (Sample(text=f"{EVIL} {EVIL}"), Sample(picture=f'{IMAGE}"><script>')):
        seen = WebPage(page(hostile, {7: sample}))
        assert not seen.named("script")
        assert EVIL in seen.text
        assert all(address.startswith(("data:", "#")) for address in seen.addresses())


def _hostile(value: Any, evil: tuple[str, ...]) -> Any:
    """The same with a script beside each of these texts, wherever they are."""
    if isinstance(value, Mapping):
        return {key: _hostile(inner, evil) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hostile(inner, evil) for inner in value]
    return f"{EVIL}{value}" if value in evil else value


def test_tables_and_pictures_are_named_for_those_who_cannot_see_them(seen: WebPage) -> None:
    assert all(table.caption.strip() for table in seen.tables)
    assert sum(table.headings_without_scope for table in seen.tables) == 0
    assert all(each.attributes["aria-label"] for each in seen.named("svg"))
    assert all(each.attributes["role"] == "img" for each in seen.named("svg"))


def test_each_plot_is_xml(report: Report) -> None:
    html = report.files()["report.html"].decode()
    plots = [f"<svg{part.partition('</svg>')[0]}</svg>" for part in html.split("<svg")[1:]]
    assert len(plots) >= 8
    for plot in plots:
        ET.fromstring(plot)


def test_the_same_content_gives_the_same_bytes_and_few_of_them(report: Report) -> None:
    first, second = report.files(), report.files()
    assert first == second
    assert len(first["report.html"]) < 200_000


def test_a_thousand_classes_and_groups_leave_it_small(changed: dict[str, Any]) -> None:
    changed["labels"] = [f"class {number}" for number in range(1000)]
    for model in changed["models"]:
        group = {"slice": "class", "samples": 5, "accuracy": 0.8, "ci95": [0.4, 0.96]}
        model["quality"]["groups"] = [{**group, "group": f"class {number}"} for number in range(1000)]
        model["quality"]["confusion"] = None
    for split in changed["data"]["splits"].values():
        split["classes"] = [5] * 999 + [6]
    text = page(changed, {})
    assert len(text) < 200_000
    assert "the worst 24 of 1000" in WebPage(text).text


def test_tensors_have_no_pictures(report: Report) -> None:
    evidence: Evidence = replace(report.evidence, occlusions=[], samples={})
    html = replace(report, evidence=evidence).files()["report.html"].decode()
    assert "How it decides" not in WebPage(html).text
