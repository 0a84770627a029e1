"""The gate: each limit, set just out of reach of a real build, fails it with its row marked; in reach it passes."""

from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from joulebox.package.manifest import GateResult
from joulebox_build import pipeline
from joulebox_build.errors import GateError
from joulebox_build.graph.memory import Memory
from joulebox_build.judge.cost import Cost
from joulebox_build.judge.gate import FIGURES, MEASURED, Candidate, Form, check, explain, repeatable, table
from joulebox_build.judge.paired import Paired
from joulebox_build.judge.quality import Corrupted, Quality
from joulebox_build.judge.slices import Group
from joulebox_build.recipe import Baseline, Corruption, Gate, load_recipe
from joulebox_build.report.report import Report
from joulebox_build.stage import Stages

WHOLE = ("bytes_max", "parameters_max", "peak_memory_max_bytes")

LOOSE = Gate.model_validate({name: 10**6 if name in WHOLE else 1.0 for name in FIGURES})


@dataclass(frozen=True)
class WeakBuild:
    """A student that is worse than its teacher, and whose int8 form is worse than itself; judged as often as one likes."""

    job: Any
    made: Any

    def judged(self, gate: Gate) -> Report:
        profile = self.job.profile.model_copy(update={"gate": gate})
        return pipeline.judge(replace(self.job, profile=profile), self.made)


@pytest.fixture(scope="module")
def weak(first_build: Any, trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> WeakBuild:
    place = tmp_path_factory.mktemp("weak")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOULEBOX_CPU_WATTS", "5")
        recipe = load_recipe(trained_folder / "recipe.yaml")
        quick = recipe.profiles["quick"]
        profile = quick.model_copy(
            update={
                "distill": quick.distill.model_copy(update={"epochs": 1, "samples": 150, "learning_rate": 0.05}),
                "baselines": [Baseline(kind="logistic-regression", samples=30)],
                "corruptions": (Corruption(kind="noise", severity=5),),
            }
        )
        weak = recipe.model_copy(update={"profiles": {"quick": profile}})
        job = pipeline.open_job(weak, "quick", Stages(place / "cache"))
        made, better = pipeline.make(job), first_build.built.made.fp32  # int8 of another one, so it loses much
        return WeakBuild(job, replace(made, fp32=better, variants={**made.variants, "cpu-fp32": better}))


@pytest.fixture(scope="module")
def figures(weak: WeakBuild) -> dict[str, float]:
    """What each limit is held against."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOULEBOX_CPU_WATTS", "5")
        report = weak.judged(LOOSE)
    return {result.limit: result.actual for result in report.gate if result.actual is not None}


@pytest.fixture(autouse=True)
def _energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "5")


@pytest.mark.parametrize("limit", FIGURES)
def test_just_out_of_reach_fails_with_its_row_marked_and_in_reach_passes(
    weak: WeakBuild, figures: dict[str, float], tmp_path: Path, limit: str
) -> None:
    step: float = 1 if limit in WHOLE else 0.001 * figures[limit] or 0.001
    better = step if "_min" in limit else -step
    within, beyond = (weak.judged(Gate.model_validate({limit: at})) for at in (figures[limit], figures[limit] + better))
    assert limit in [result.limit for result in within.gate if result.passed]
    assert [result.limit for result in beyond.gate if not result.passed] == [limit]
    assert [line.split()[0] for line in lines(beyond.gate) if "FAILED" in line] == [limit]
    with pytest.raises(GateError, match=f"{limit} is "):
        pipeline.pack(pipeline.Built(weak.job, weak.made, beyond), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def lines(results: list[GateResult]) -> list[str]:
    shown = StringIO()
    Console(file=shown, width=200).print(table(results))
    return shown.getvalue().splitlines()


def test_what_was_measured_is_in_the_report_and_not_in_the_manifest(weak: WeakBuild, tmp_path: Path) -> None:
    """Another run measures something else, and it is the same model."""
    report = weak.judged(Gate(latency_p99_max_s=10, joules_per_inference_max=10))
    ours = replace(weak.made, variants={"cpu-int8": weak.made.int8, "cpu-fp32": weak.made.int8})  # not another model's
    manifest = pipeline.pack(pipeline.Built(weak.job, ours, report), tmp_path / "out").manifest
    for result, kept in zip(report.gate[1:], manifest.gate[1:], strict=True):
        assert result.actual is not None
        assert (kept.limit, kept.actual, kept.passed) == (result.limit, None, True)
        assert kept.note == "measured on the build host: the figure is in report.json"


def test_joules_that_nothing_knows_are_not_a_pass(weak: WeakBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    (result,) = weak.judged(Gate(joules_per_inference_max=10)).gate[1:]
    if result.note and result.note.startswith("source: none"):  # a host with a counter has it still
        assert (result.actual, result.passed) == (None, False)
        assert "joules_per_inference_max is unknown, expected <= 10" in explain([result])
        assert "unknown" in "".join(lines([result]))


GOOD = Candidate(
    quality=Quality(
        accuracy=0.92,
        class_accuracy=[0.9, 0.94],
        calibration_error=0.01,
        samples=1000,
        ci95=[0.9, 0.94],
        reliability=[],
        groups=[Group("class", "a", 500, 0.9, [0.87, 0.92]), Group("class", "b", 20, 0.5, [0.3, 0.7])],
        worst_group=None,
        agreement=0.95,
        confusion=None,
        mistakes=[],
        corruptions=[Corrupted("noise", 2, 0.9), Corrupted("blur", 1, 0.91)],
    ),
    cost=Cost(0.001, 0.002, 1e-3, None, None, None, 4, 0, "estimated", "a note", []),
    memory=Memory(1000, "Conv", 500, 3000),
    bytes=1000,
    parameters=500,
    teacher=Paired(1000, 30, 10),
    fp32=Paired(1000, 4, 1),
    baseline=Paired(1000, 100, 20),
    baseline_name="baseline logistic-regression",
)


def result(gate: Gate, candidate: Candidate, limit: str) -> GateResult:
    (found,) = (each for each in check(gate, candidate) if each.limit == limit)
    return found


def test_a_drop_beyond_the_limit_fails_where_it_is_significant() -> None:
    found = result(Gate(teacher_drop_max=0.01), GOOD, "teacher_drop_max")
    assert (found.actual, found.passed) == (0.02, False)
    assert found.note is not None
    assert found.note.startswith("significant, McNemar p = 0.0022, 95 % interval +0.73% to +3.26%")


def test_a_drop_beyond_the_limit_that_noise_explains_passes_and_says_so() -> None:
    found = result(Gate(quantization_drop_max=0.001), GOOD, "quantization_drop_max")
    assert (found.actual, found.passed) == (0.003, True)
    assert found.note is not None
    assert found.note.startswith("beyond the limit, but noise explains it: not significant, McNemar p = 0.38")


def test_a_drop_within_the_limit_passes_however_significant() -> None:
    assert result(Gate(teacher_drop_max=0.02), GOOD, "teacher_drop_max").passed


def test_the_recipe_says_what_is_significant() -> None:
    assert not result(Gate(quantization_drop_max=0.001, significance=0.5), GOOD, "quantization_drop_max").passed


def rows(gate: Gate, *forms: Form) -> dict[str, tuple[float | None, bool]]:
    return {each.limit: (each.actual, each.passed) for each in check(gate, replace(GOOD, forms=forms))[-3:]}


def test_each_other_form_that_ships_is_held_to_accuracy_and_to_what_it_loses_to_fp32() -> None:
    fp32, half = Form("cpu-fp32", 910, 1000, None), Form("gpu-fp16", 890, 1000, Paired(1000, 30, 10))
    assert rows(Gate(accuracy_min=0.9, quantization_drop_max=0.01), fp32, half) == {
        "cpu-fp32 accuracy_min": (0.91, True),
        "gpu-fp16 accuracy_min": (0.89, False),
        "gpu-fp16 quantization_drop_max": (0.02, False),
    }
    assert [each.limit for each in check(Gate(), replace(GOOD, forms=(fp32, half)))] == ["beats_baseline"]


def test_noise_excuses_what_a_form_loses_as_it_does_for_int8() -> None:
    form = Form("trt-int8", 917, 1000, Paired(1000, 4, 1))
    found = check(Gate(quantization_drop_max=0.001), replace(GOOD, forms=(form,)))[-1]
    assert (found.limit, found.actual, found.passed) == ("trt-int8 quantization_drop_max", 0.003, True)
    assert found.note is not None
    assert found.note.startswith("beyond the limit, but noise explains it")


def with_another_model(made: Any) -> Any:
    """What a build made, but for one form, which is the baseline's file."""
    other = replace(made.baselines[0], name="student gpu-fp16")
    return replace(made, variants={**made.variants, "gpu-fp16": other})


def test_a_form_that_is_not_as_good_fails_the_build_by_its_name(first_build: Any, tmp_path: Path) -> None:
    job, made = first_build.built.job, with_another_model(first_build.built.made)
    report = pipeline.judge(job, made)
    failed = ["gpu-fp16 accuracy_min", "gpu-fp16 quantization_drop_max"]
    assert [each.limit for each in report.gate if not each.passed] == failed
    with pytest.raises(GateError, match=r"gpu-fp16 accuracy_min is 0\.\d+, expected >= 0\.7"):
        pipeline.pack(pipeline.Built(job, made, report), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_the_recipe_has_no_limits_a_form_that_is_another_model_is_refused_still(
    first_build: Any, tmp_path: Path
) -> None:
    built = first_build.built
    profile = built.job.profile.model_copy(update={"gate": Gate()})
    job, made = replace(built.job, profile=profile), with_another_model(built.made)
    report = pipeline.judge(job, made)
    assert report.passed
    with pytest.raises(GateError, match="gpu-fp16 is refused: a golden logit is off by"):
        pipeline.pack(pipeline.Built(job, made, report), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_lead_over_the_baseline_that_noise_explains_is_none() -> None:
    near = replace(GOOD, baseline=Paired(1000, 12, 8))
    found = result(Gate(), near, "beats_baseline")
    assert (found.actual, found.passed) == (0.004, False)
    assert not result(Gate(), replace(GOOD, baseline=Paired(1000, 0, 0)), "beats_baseline").passed


counts = st.integers(0, 300)


@given(ours=counts, theirs=counts)
def test_no_recipe_lets_a_student_through_that_does_not_beat_the_baseline(ours: int, theirs: int) -> None:
    beside = Paired(1000, ours, theirs)
    passed = all(each.passed for each in check(Gate(), replace(GOOD, baseline=beside)))
    assert passed == (ours > theirs and beside.p_value < 0.05)


def test_a_group_that_is_too_small_is_not_judged() -> None:
    assert result(Gate(slice_accuracy_min=0.8), GOOD, "slice_accuracy_min").actual == 0.9
    assert result(Gate(slice_gap_max=0.1), GOOD, "slice_gap_max").passed
    all_of_them = Gate(slice_accuracy_min=0.8, slice_gap_max=0.1, slice_samples_min=20)
    assert result(all_of_them, GOOD, "slice_accuracy_min").actual == 0.5
    assert result(all_of_them, GOOD, "slice_gap_max").actual == 0.4


@pytest.mark.parametrize("limit", [{"slice_accuracy_min": 0.0}, {"slice_gap_max": 1.0}])
def test_no_group_to_judge_is_unknown_and_not_a_pass(limit: dict[str, Any]) -> None:
    found = check(Gate(**limit, slice_samples_min=10_000), GOOD)[1]
    assert (found.actual, found.passed) == (None, False)
    assert "no group has 10000 samples" in (found.note or "")


def test_the_corruption_that_harms_most_is_judged() -> None:
    found = result(Gate(corruption_drop_max=0.01), GOOD, "corruption_drop_max")
    assert (found.actual, found.passed) == (0.02, False)
    assert found.note == "noise 2: 90.00% instead of 92.00%"


def test_joules_come_with_their_source() -> None:
    found = result(Gate(joules_per_inference_max=1), GOOD, "joules_per_inference_max")
    assert found.note == "source: estimated; a note"


def test_only_what_the_recipe_limits_is_held_against_a_limit() -> None:
    assert [each.limit for each in check(Gate(), GOOD)] == ["beats_baseline"]


def test_the_explanation_names_what_was_missed_in_one_line() -> None:
    text = explain(check(Gate(bytes_max=999, parameters_max=500), replace(GOOD, baseline=Paired(1000, 0, 10))))
    assert "bytes_max is 1000, expected <= 999" in text
    assert "beats_baseline is -0.01, expected > 0" in text
    assert "parameters_max" not in text
    assert "\n" not in text


def test_only_measured_figures_are_hidden() -> None:
    every = check(LOOSE, GOOD)
    hidden = {each.limit for each in repeatable(every) if each.actual is None}
    assert hidden == set(MEASURED) & {each.limit for each in every} != set()  # a given model has one more
