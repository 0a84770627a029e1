"""From recipe to package: sealed, repeatable, resumable, and without a look at the test data."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from joulebox.engine import rungs
from joulebox.package import open_package
from joulebox_build.errors import BuildError, DataError, GateError, RecipeError
from joulebox_build.graph.inference import outputs
from joulebox_build.packing.tolerance import spread
from joulebox_build.pipeline import build, pack
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Artifact, Stages
from joulebox_build.steps import choice
from stagefiles import files_of
from webpage import WebPage

TRAINING = {"teach", "distill", "baseline"}


def run(folder: Path, out: Path, cache: Path) -> tuple[Any, list[Artifact]]:
    stages = Stages(cache)
    built = build(load_recipe(folder / "recipe.yaml"), "quick", stages)
    return pack(built, out), stages.log


def variants(package: Any) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in package.manifest.files.items()}


def test_the_package_is_sound_and_says_what_it_is(first_build: Any) -> None:
    package = open_package(first_build.package.folder)
    package.verify()
    manifest = package.manifest
    assert (manifest.name, manifest.labels) == ("stripes", ["across", "down", "diagonal"])
    assert manifest.inputs[0].model_dump() == {"name": "image", "datatype": "FP32", "shape": [-1, 1, 12, 12]}
    assert manifest.outputs[0].model_dump() == {"name": "logits", "datatype": "FP32", "shape": [-1, 3]}
    assert {variant.precision for variant in manifest.variants} == {"fp32", "int8"}
    assert all(result.passed for result in manifest.gate)
    made_of = manifest.lineage.made_of
    assert {"recipe", "profile", "teacher", "data", "stages", "libraries"} <= made_of.keys()
    assert made_of["seeds"] == {"recipe": 3, "teacher": [3]}
    assert {"report.html", "report.json", "model-card.md", "latency.json"} == set(manifest.evidence)


def test_every_variant_reproduces_the_golden_outputs(first_build: Any) -> None:
    package = first_build.package
    with np.load(io.BytesIO(package.read("golden.npz"))) as golden:
        inputs, expected = golden["input.image"], golden["output.logits"]
    assert len(inputs) == package.manifest.golden.samples == 8
    for variant in package.manifest.variants:
        found = outputs(package.read(variant.file), inputs)
        assert np.abs(found - expected).max() <= variant.golden_tolerance


def test_a_model_that_is_another_one_does_not_reproduce_them(first_build: Any) -> None:
    package = first_build.package
    with np.load(io.BytesIO(package.read("golden.npz"))) as golden:
        inputs, expected = golden["input.image"], golden["output.logits"]
    wrong = outputs(first_build.built.made.teacher.content, inputs)
    assert all(np.abs(wrong - expected).max() > variant.golden_tolerance for variant in package.manifest.variants)


def test_a_second_build_runs_nothing_and_gives_the_same_package(
    first_build: Any, trained_folder: Path, tmp_path: Path
) -> None:
    package, log = run(trained_folder, tmp_path / "out", first_build.cache)
    assert all(artifact.cached for artifact in log)
    assert {artifact.stage for artifact in log} >= TRAINING
    assert package.manifest.checksum == first_build.package.manifest.checksum


def test_a_clean_cache_and_another_folder_give_the_same_version(first_build: Any, folder: Path, tmp_path: Path) -> None:
    package, log = run(folder, tmp_path / "out", tmp_path / "empty")
    first = {artifact.key: artifact for artifact in reversed(log)}  # answers are read again by what compares models
    assert not any(artifact.cached for artifact in first.values())
    assert package.manifest.version == first_build.package.manifest.version
    assert variants(package) == variants(first_build.package)


def test_another_seed_gives_another_model_and_another_golden_set(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    write_recipe(folder, lambda recipe: recipe.update(seed=4))
    package, _ = run(folder, tmp_path / "out", tmp_path / "empty")
    ours, first = variants(package), variants(first_build.package)
    assert all(ours[name] != first[name] for name in first)


def test_other_test_data_change_figures_but_no_model(first_build: Any, folder: Path, tmp_path: Path) -> None:
    """The tripwire: if training, calibration or any choice read the test data, these files would differ."""
    data = folder / "data.py"
    data.write_text(data.read_text("utf-8").replace("TEST_SEED = 1", "TEST_SEED = 2"), "utf-8")
    package, _ = run(folder, tmp_path / "out", tmp_path / "empty")
    assert variants(package) == variants(first_build.package)
    temperatures = {each.manifest.postprocess.temperature for each in (package, first_build.package)}
    assert len(temperatures) == 1
    assert (
        package.manifest.lineage.made_of["data"]["test"] != first_build.package.manifest.lineage.made_of["data"]["test"]
    )


def test_changing_the_student_keeps_the_teachers_logits(first_build: Any, folder: Path, tmp_path: Path) -> None:
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "copy"))
    model = folder / "model.py"
    model.write_text(model.read_text("utf-8").replace("net(8)", "net(9)"), "utf-8")
    _, log = run(folder, tmp_path / "out", cache)
    cached = {artifact.stage: artifact.cached for artifact in log}
    assert cached["teach"]
    assert cached["baseline"]
    assert not cached["distill"]


def test_an_unmet_gate_writes_nothing_and_exits_with_3(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    write_recipe(folder, lambda recipe: recipe["profiles"]["quick"]["gate"].update(bytes_max=100))
    with pytest.raises(GateError, match=r"bytes_max is \d+, expected <= 100") as caught:
        run(folder, tmp_path / "out", first_build.cache)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()


def test_a_student_that_a_linear_model_beats_is_refused(folder: Path, tmp_path: Path, write_recipe: Any) -> None:
    def edit(recipe: dict[str, Any]) -> None:
        profile = recipe["profiles"]["quick"]
        profile["distill"].update(epochs=1, samples=60, learning_rate=1e-5)
        profile["gate"] = {
            "accuracy_min": 0,
            "teacher_drop_max": 1,
            "quantization_drop_max": 1,
            "bytes_max": 10**6,
            "parameters_max": 10**6,
        }

    write_recipe(folder, edit)
    with pytest.raises(GateError, match="beats_baseline"):
        run(folder, tmp_path / "out", tmp_path / "empty")


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "message"),
    [
        ("data.py", "(count, 1, 12, 12)", "(count, 1, 14, 12)", DataError, r"uint8 \[1, 14, 12\]; preprocess says"),
        ("model.py", "def student", "def pupil", RecipeError, r"defines no function student\(\)"),
        ("data.py", "return Dataset", "return", DataError, r"load\(\) .* returned tuple; expected a Dataset"),
        (
            "model.py",
            "nn.Linear(width, 3)",
            "nn.Linear(width, 4)",
            RecipeError,
            r"gives \[2, 4\]; expected logits \[2, 3\]",
        ),
        (
            "model.py",
            "nn.Conv2d(1, width",
            "nn.Conv2d(2, width",
            RecipeError,
            r"student\(\) fails on FP32 \[2, 1, 12, 12\]",
        ),
    ],
)
def test_a_folder_that_does_not_fit_its_recipe_is_refused(
    folder: Path, tmp_path: Path, file: str, old: str, new: str, error: type[BuildError], message: str
) -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")
    with pytest.raises(error, match=message):
        run(folder, tmp_path / "out", tmp_path / "empty")
    assert not (tmp_path / "out").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from joulebox_build.train import fit
from joulebox_build.commands.build import build
keep, epochs = fit._keep, []
def keep_and_die(*arguments):
    keep(*arguments)
    epochs.append(1)
    if len(epochs) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
fit._keep = keep_and_die
build(Path(sys.argv[1]), Path(sys.argv[2]), "quick", as_json=True)
"""


def test_a_killed_build_leaves_nothing_half_made_and_goes_on(
    first_build: Any, folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(folder / "recipe.yaml"), str(out)]
    killed = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not out.exists()
    assert not list(cache.glob("distill-*"))
    epochs: list[str] = []
    monkeypatch.setattr("joulebox_build.progress._OnBar.say", lambda _, text: epochs.append(text))
    package, log = run(folder, out, cache)
    cached = {artifact.stage: artifact.cached for artifact in log}
    assert cached["teach"]
    assert not cached["distill"]
    assert sum(text.startswith("loss") for text in epochs) == 2  # of four: the first two were kept
    assert package.manifest.version == first_build.package.manifest.version


def test_the_report_holds_what_was_found(first_build: Any) -> None:
    report = json.loads(first_build.package.read("report.json"))
    names = ["teacher", "student fp32", "student int8", "baseline logistic-regression"]
    assert [model["name"] for model in report["models"]] == names
    assert {name: split["samples"] for name, split in report["data"]["splits"].items()} == {
        "train": 750,
        "validation": 150,
        "test": 300,
    }
    assert report["data"]["duplicates"].keys() == {"train/validation", "train/test", "validation/test"}
    assert len(report["training"]) == 4
    assert report["host"].keys() >= {"fingerprint", "cpu", "logical_cores", "memory_gib", "board"}
    for model in report["models"]:
        cost = model["cost"]
        assert cost["energy_source"] in {"measured", "integrated", "estimated", "none"}
        assert (cost["joules_per_inference"] is None) or cost["turns"] > 0


def test_what_the_shipped_student_took_is_told_apart_from_studies_and_judging(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    def with_studies(recipe: dict[str, Any]) -> None:  # the first student with the teacher is the shipped one
        recipe["profiles"]["quick"] |= {
            "study": {"seeds": 2, "epochs": 4},
            "data_efficiency": {"fractions": [0.5], "epochs": 1},
        }

    write_recipe(folder, with_studies)
    cache = Path(shutil.copytree(first_build.cache, tmp_path / "cache"))
    package, log = run(folder, tmp_path / "out", cache)
    making = json.loads(package.read("report.json"))["making"]
    trained = [stage for stage in making["stages"] if stage["stage"] == "distill"]
    assert [stage["of"] for stage in trained] == [
        "",
        "without a teacher, seed 3",
        "with the teacher, seed 4",
        "without a teacher, seed 4",
        "on 50% of the data",
    ]
    path = [stage for stage in making["stages"] if stage["stage"] in {"teacher", "teach", "quantize"}]
    path += [trained[0], next(stage for stage in making["stages"] if stage["stage"] == "export")]
    assert making["training_stages"] == ["distill", "export", "quantize", "teach", "teacher"]
    assert making["training_seconds"] == pytest.approx(sum(stage["seconds"] for stage in path))
    everything = sum(made.spent.seconds or 0.0 for made in {made.key: made for made in log}.values())
    assert making["training_seconds"] + making["evidence_seconds"] <= everything * (1 + 1e-9)
    assert {"answer", "baseline", "distill", "evaluate", "measure"} <= set(making["evidence_stages"])


def test_no_time_is_in_what_the_version_covers(first_build: Any) -> None:
    covered = first_build.package.manifest.model_dump(exclude={"evidence", "version", "checksum"})
    assert "latency" not in json.dumps(covered)
    assert "joules" not in json.dumps(covered)


def with_qat(folder: Path, **quantize: Any) -> None:
    path = folder / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text("utf-8"))
    recipe["profiles"]["quick"]["quantize"] |= quantize
    path.write_text(yaml.safe_dump(recipe), "utf-8")


def test_a_student_that_int8_harms_is_trained_on_with_its_rounding_and_the_better_one_is_kept(
    first_build: Any, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(first_build.cache, tmp_path / "cache", dirs_exist_ok=True)
    with_qat(folder, calibrators=["percentile"], percentile=60, drop_max=0, qat={"epochs": 2, "learning_rate": 0.02})
    built = build(load_recipe(folder / "recipe.yaml"), "quick", Stages(tmp_path / "cache"))
    stages = [artifact.stage for artifact in built.job.stages.log if not artifact.cached]
    assert stages.count("quantize") == 2
    assert "qat" in stages
    assert "distill" not in stages
    tried = [files_of(built.job.stages, ran) for ran in built.job.stages.log if ran.stage == "quantize"]
    scores = [json.loads(files["choice.json"])["score"] for files in tried]
    kept = choice(built.made.int8)["score"]
    assert kept == min(scores, key=lambda score: (-score["accuracy"], score["cross_entropy"]))


def test_every_variant_that_the_recipe_names_is_shipped_and_held_against_the_goldens(
    first_build: Any, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(first_build.cache, tmp_path / "cache", dirs_exist_ok=True)
    path = folder / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text("utf-8"))
    asked = ["cpu-int8", "cpu-fp32", "gpu-fp16", "trt-int8", "cpu-weights-int8", "cpu-weights-int4"]
    recipe["profiles"]["quick"]["variants"] = asked
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    package, _ = run(folder, tmp_path / "out", tmp_path / "cache")
    with np.load(io.BytesIO(package.read("golden.npz"))) as golden:
        inputs, expected = golden["input.image"], golden["output.logits"]
    assert {variant.name for variant in package.manifest.variants} == set(asked)
    for variant in package.manifest.variants:
        found = outputs(package.read(variant.file), inputs)
        assert np.abs(found - expected).max() <= variant.golden_tolerance < 0.5 * spread(expected)
    latency = json.loads(package.read("latency.json"))["latency_s"]
    assert set(latency) == {"cpu-int8", "cpu-fp32", "cpu-weights-int8", "cpu-weights-int4"}
    report = json.loads(package.read("report.json"))
    assert [each["name"] for each in report["variants"]] == [rung.name for rung in rungs(package, strict="onnxruntime")]
    rows = {each["name"]: each for each in report["models"]}
    for variant in report["variants"]:
        row, measured = rows[variant["model"]], variant["name"] in latency
        assert row["quality"]["accuracy"] > 0.7
        assert row["temperature"] == package.manifest.postprocess.temperature
        assert row["memory"]["weight_bytes"] > 0
        assert (row["cost"] is None, row["latency_ratio"] is None, variant["latency_s"] is None) == (not measured,) * 3
    limits = {result["limit"]: result["passed"] for result in report["gate"]}
    for name in set(asked) - {"cpu-int8", "cpu-fp32"}:
        assert limits[f"{name} accuracy_min"]
        assert limits[f"{name} quantization_drop_max"]
    page = WebPage(package.read("report.html").decode())
    assert page.table("Quality on the test data").row("latency, median").count("not measured") == 2
    assert (
        "Time and energy of student trt-int8 were not measured: it is made for TensorrtExecutionProvider" in page.text
    )
    assert "student trt-int8" in package.read("model-card.md").decode()
