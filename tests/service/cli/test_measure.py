"""`joulebox measure`, as somebody meets it who asks what an inference costs here."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulebox.package import Package
from laid import LaidHost


def test_joules_of_a_host_with_a_counter_are_measured_and_kept(run: Any, package: Package, laid: LaidHost) -> None:
    done = run("measure", package.folder, "--batch", 1, "--batch", 8, "--seconds", 2.5, "--json", **laid.environment)
    assert (done.status, done.err) == (0, "")
    found = done.json
    assert (found["model"], found["version"]) == ("tiny", package.manifest.version)
    assert (found["source"], found["devices"][0]["device"]) == ("measured", "cpu-package-0")
    assert (found["host"]["cpu"], found["host"]["memory_gib"]) == ("Laid CPU", 8)
    assert [(row["variant"], row["batch"]) for row in found["results"]] == [("cpu-fp32", 1), ("cpu-fp32", 8)]
    for row in found["results"]:
        assert row["ci95"][0] <= row["joules_per_inference"] <= row["ci95"][1]
        assert 0 < row["latency_median_s"] <= row["latency_p99_s"]
        assert row["total_joules_per_inference"] > row["joules_per_inference"] > 0
        assert row["watts"] == pytest.approx(row["dynamic_watts"] + row["idle_watts"])
        assert row["watt_hours_per_million"] == pytest.approx(row["joules_per_inference"] * 1e6 / 3600)
        assert (row["turns"], row["turns_left_out"], row["reason"]) == (3, 0, None)
    kept = Path(found.pop("kept"))
    assert kept.parent.parent.parent.parent == laid.state
    assert json.loads(kept.read_text()) == found


def test_an_estimate_says_what_its_interval_is_not(run: Any, package: Package, estimated: dict[str, str]) -> None:
    done = run("measure", package.folder, "--seconds", 0.1, COLUMNS="120", **estimated)
    assert done.status == 0
    assert "energy: estimated by cpu (estimate)" in done.out
    assert "how repeatable it is, not how right" in done.out
    assert "kept in " in done.out


def test_an_estimate_has_its_figures_too(run: Any, package: Package, estimated: dict[str, str]) -> None:
    found = run("measure", package.folder, "--seconds", 0.1, "--json", **estimated).json
    (row,) = found["results"]
    assert found["source"] == "estimated"
    assert row["idle_watts"] == 2.0
    assert 0 < row["joules_per_inference"] < row["total_joules_per_inference"]


def test_grams_and_cost_are_there_where_somebody_has_said_of_what(
    run: Any, package: Package, estimated: dict[str, str]
) -> None:
    unset = run("measure", package.folder, "--seconds", 0.1, "--json", **estimated).json
    assert (unset["carbon"], unset["results"][0]["grams_per_million"]) == (None, None)
    rates = {"JOULEBOX_CARBON_INTENSITY": "360", "JOULEBOX_PRICE_KWH": "0.36", "JOULEBOX_CURRENCY": "EUR"}
    found = run("measure", package.folder, "--seconds", 0.1, "--json", **estimated, **rates).json
    (row,) = found["results"]
    million = row["total_joules_per_inference"] * 1e6
    assert row["grams_per_million"] == pytest.approx(million * 1e-4)
    assert row["cost_per_million"] == pytest.approx(million * 1e-7)
    assert found["carbon"]["intensity"]["source"] == "configured"
    done = run("measure", package.folder, "--seconds", 0.1, COLUMNS="120", **estimated, **rates)
    assert re.search(r"cpu-fp32, batch 1: \S+ g CO2e and \S+ EUR per million, with idle", done.out)


def test_an_estimate_without_idle_power_does_not_know_the_total(
    run: Any, package: Package, estimated: dict[str, str]
) -> None:
    found = run("measure", package.folder, "--seconds", 0.1, "--json", **{**estimated, "JOULEBOX_CPU_WATTS": "4"}).json
    (row,) = found["results"]
    assert row["joules_per_inference"] > 0
    assert (row["total_joules_per_inference"], row["idle_watts"], row["watts"]) == (None, None, None)


def test_without_any_source_there_are_times_and_no_joules(
    run: Any, package: Package, estimated: dict[str, str]
) -> None:
    off = {**estimated, "JOULEBOX_CPU_WATTS": "off"}
    found = run("measure", package.folder, "--seconds", 0.1, "--json", **off).json
    (row,) = found["results"]
    assert (found["source"], row["joules_per_inference"], row["ci95"]) == ("none", None, None)
    assert (row["total_joules_per_inference"], row["idle_watts"], row["watts"]) == (None, None, None)
    assert row["inferences_per_second"] > 0
    done = run("measure", package.folder, "--seconds", 0.1, COLUMNS="1000", **off)
    assert done.status == 0
    assert "energy: none; " in done.out
    assert "switched off by JOULEBOX_CPU_WATTS=off" in done.out


def test_a_variant_that_does_not_work_here_is_listed_with_the_reason(
    run: Any, twofold: Package, estimated: dict[str, str]
) -> None:
    done = run("measure", twofold.folder, "--seconds", 0.1, "--json", **estimated)
    assert done.status == 0
    assert [row["variant"] for row in done.json["results"]] == ["cpu-fp32"]
    (missing,) = done.json["not_measured"]
    assert missing["what"] == "cpu-int8"
    assert "golden sample 0, logits: off by" in missing["reason"]


def test_where_nothing_works_it_fails_and_says_why(run: Any, twofold: Package, estimated: dict[str, str]) -> None:
    done = run("measure", twofold.folder, "--variant", "cpu-int8", **estimated)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: nothing of tiny could be measured on this host: cpu-int8: ")
    assert done.err.count("\n") == 1


def test_a_model_that_takes_no_batches_says_so(run: Any, tiny: Any, tmp_path: Path, estimated: dict[str, str]) -> None:
    package = tiny.state_package(tmp_path / "state-model")
    done = run("measure", package.folder, "--batch", 1, "--batch", 2, "--seconds", 0.1, "--json", **estimated)
    assert done.status == 0
    assert done.json["not_measured"] == [{"what": "cpu, batch 2", "reason": "the model takes no batches"}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variant", "gpu"], "--variant 'gpu': tiny has none; expected cpu-fp32"),
        ([option for batch in range(1, 66) for option in ("--batch", batch)], "expected at most 64 in all"),
    ],
)
def test_what_cannot_be_is_one_line(run: Any, package: Package, options: list[object], said: str) -> None:
    done = run("measure", package.folder, *options)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_wrong_setting_is_the_user_s_fault(run: Any, package: Package) -> None:
    done = run("measure", package.folder, JOULEBOX_CPU_WATTS="much")
    assert done.status == 2
    assert "JOULEBOX_CPU_WATTS='much'" in done.err


def test_figures_that_cannot_be_kept_are_printed_still(
    run: Any, package: Package, tmp_path: Path, estimated: dict[str, str]
) -> None:
    (tmp_path / "file").touch()
    done = run(
        "measure", package.folder, "--seconds", 0.1, "--json", **estimated, JOULEBOX_STATE=str(tmp_path / "file")
    )
    assert done.status == 1
    assert done.json["results"][0]["joules_per_inference"] > 0
    assert done.json["kept"] is None
    assert "cannot be written" in done.err
    assert done.err.count("\n") == 1


def test_a_counter_that_is_lost_leaves_joules_unknown_and_fails(
    run: Any, package: Package, laid: LaidHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = run_trial_of(monkeypatch, (laid.zone / "energy_uj").unlink)
    done = run("measure", package.folder, "--seconds", 0.1, "--json", **laid.environment)
    assert taken
    assert done.status == 1
    (row,) = done.json["results"]
    assert (row["joules_per_inference"], row["turns"], row["turns_left_out"]) == (None, 0, 3)
    assert "energy_uj: No such file" in row["reason"]
    assert done.err.startswith("error: joules could not be measured: ")


def run_trial_of(monkeypatch: pytest.MonkeyPatch, first: Callable[[], None]) -> list[float]:
    """Something happens once everything is open, and before anything is measured."""
    from joulebox.cli import measure  # noqa: PLC0415

    trial, taken = measure.run_trial, list[float]()

    def run_trial(*arguments: Any, **named: Any) -> Any:
        first()
        taken.append(time.time())
        return trial(*arguments, **named)

    monkeypatch.setattr(measure, "run_trial", run_trial)
    return taken
