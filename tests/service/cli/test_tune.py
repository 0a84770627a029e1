"""`joulebox tune`: every way to run a package is measured, and the server takes the best until an engine changes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from joulebox.package import Package, write_package
from laid import LaidHost
from servers import serving

QUICK = ("--seconds", 0.1)


@pytest.fixture
def slowed(tmp_path: Path, tiny: Any) -> Package:
    """A package whose int8 form, which is tried first where nothing was measured, takes far longer than the other."""
    variants = [
        tiny.variant("cpu-int8", "int8", "variants/cpu-int8.onnx"),
        tiny.variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx"),
    ]
    files = {**tiny.files(), "variants/cpu-int8.onnx": (tiny.HERE / "slow.onnx").read_bytes()}
    files["golden.npz"] = tiny.golden()
    return write_package(tmp_path / "slowed", tiny.fields(variants=variants), files, {})


def test_every_variant_engine_and_number_of_threads_is_measured(run: Any, package: Package, estimated: Any) -> None:
    found = run("tune", package.folder, *QUICK, "--threads", 1, "--threads", 2, "--json", **estimated).json
    rows = [(row["variant"], row["engine"], row["threads"], row["batch"]) for row in found["results"]]
    engines = ("onnxruntime", "openvino")
    assert rows == [("cpu-fp32", engine, threads, 1) for engine in engines for threads in (1, 2)]
    assert all(0 < row["latency_median_s"] <= row["latency_p99_s"] for row in found["results"])
    assert {choice["engine"] for choice in found["choices"]} == set(engines)
    assert set(found["libraries"]) == set(engines)
    assert json.loads(Path(found["kept"]).read_text())["choices"] == found["choices"]


def test_the_chosen_is_the_quickest_but_for_noise(run: Any, slowed: Package, estimated: Any) -> None:
    found = run("tune", slowed.folder, *QUICK, "--threads", 1, "--json", **estimated).json
    quickest = min(row["latency_median_s"] for row in found["results"])
    first = found["choices"][0]
    (chosen,) = [
        row
        for row in found["results"]
        if (row["variant"], row["engine"], row["threads"]) == (first["variant"], first["engine"], first["threads"])
    ]
    assert first["variant"] == "cpu-fp32"
    assert chosen["latency_median_s"] <= 1.05 * quickest
    assert first["batch"] is None


def test_throughput_and_energy_look_at_batches(run: Any, package: Package, laid: LaidHost) -> None:
    options = ("--threads", 1, "--batch", 1, "--batch", 8, "--json")
    found = run("tune", package.folder, "--objective", "throughput", *QUICK, *options, **laid.environment).json
    assert {row["batch"] for row in found["results"]} == {1, 8}
    assert found["choices"][0]["batch"] == 8  # a run of this model is all overhead
    found = run("tune", package.folder, "--objective", "energy", "--seconds", 1.5, *options, **laid.environment).json
    assert all(row["joules_per_inference"] > 0 for row in found["results"])
    assert found["choices"][0]["batch"] == 8


def test_energy_that_nobody_measures_is_not_tuned_for(run: Any, package: Package, estimated: Any) -> None:
    off = {**estimated, "JOULEBOX_CPU_WATTS": "off"}
    done = run("tune", package.folder, "--objective", "energy", *QUICK, **off)
    assert done.status == 1
    assert "nothing can be tuned for energy" in done.err


def test_what_would_take_the_memory_of_others_is_not_begun(
    run: Any, package: Package, estimated: Any, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable: 2 kB\n")
    done = run("tune", package.folder, *QUICK, "--threads", 1, **estimated, JOULEBOX_PROCFS=str(tmp_path))
    assert done.status == 1
    assert "more than half of the 0 MiB that are free; measure fewer --threads at a time" in done.err


def test_what_cannot_be_kept_is_printed_still(run: Any, package: Package, estimated: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("tune", package.folder, *QUICK, "--threads", 1, **estimated, JOULEBOX_STATE=str(tmp_path / "file"))
    assert done.status == 1
    assert "is best for latency" in done.out
    assert "cannot be written" in done.err


def test_the_table_marks_the_best_and_draws_bars(run: Any, package: Package, estimated: Any) -> None:
    done = run("tune", package.folder, *QUICK, "--threads", 1, COLUMNS="140", **estimated)
    assert done.status == 0
    assert "is best for latency: joulebox serve takes it from now on" in done.out
    assert "█" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch", 8), "latency is of one inference at a time"),
        (("--objective", "speed"), "speed"),
        ([part for number in range(1, 40) for part in ("--threads", number)], "expected at most 64 in all"),
    ],
)
def test_what_cannot_be_is_one_line(run: Any, package: Package, estimated: Any, options: Any, said: str) -> None:
    done = run("tune", package.folder, *options, **estimated)
    assert done.status == 2
    assert said in done.err


def test_what_does_not_work_here_is_named_and_left_out(run: Any, twofold: Package, estimated: Any) -> None:
    done = run("tune", twofold.folder, *QUICK, "--threads", 1, COLUMNS="200", **estimated)
    assert done.status == 0
    assert "cpu-int8 was not measured: cpu-int8: golden sample 0" in done.out
    assert "cpu-int8@openvino was not measured" in done.out


def parameters(package: Package, *options: str, **environment: str) -> dict[str, Any]:
    with serving(package.folder, *options, environment=environment) as address:
        return httpx.get(f"{address}/v2/models/tiny").json()["parameters"]


def test_the_server_takes_what_was_chosen_until_an_engine_is_another(
    run: Any, slowed: Package, estimated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = {**estimated, "JOULEBOX_STATE": "state"}  # of the folder that a command starts in, also for the workers
    assert parameters(slowed, **state)["variant"] == "cpu-int8"
    assert run("tune", slowed.folder, *QUICK, "--threads", 2, **state).status == 0
    (kept,) = (tmp_path / "state").rglob("tuning/*.json")
    found = json.loads(kept.read_text())
    first, served = found["choices"][0], parameters(slowed, **state)
    assert (served["variant"], served["engine"], served["tuned"]) == (first["variant"], first["engine"], True)
    assert served["threads"] == min(2, os.cpu_count() or 1)
    assert parameters(slowed, **state, JOULEBOX_THREADS="1")["threads"] == 1
    kept.write_text(kept.read_text().replace(found["libraries"]["onnxruntime"], "0.1"))
    served = parameters(slowed, **state)
    assert (served["variant"], served["tuned"]) == ("cpu-int8", False)


def test_strict_serves_on_that_engine(package: Package) -> None:
    assert parameters(package, "--strict", "openvino")["engine"] == "openvino"
