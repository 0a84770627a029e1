"""The gate: each limit is met or missed by itself, and the baseline has to be beaten whatever the recipe says."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.judge.gate import Candidate, check, explain
from joulebox_build.recipe import Gate

GATE = Gate(accuracy_min=0.9, teacher_drop_max=0.03, quantization_drop_max=0.003, bytes_max=1000, parameters_max=500)
GOOD = Candidate(
    teacher_accuracy=0.94,
    baseline_accuracy=0.84,
    fp32_accuracy=0.922,
    int8_accuracy=0.92,
    int8_bytes=1000,
    parameters=500,
)
NONE = Gate(accuracy_min=0, teacher_drop_max=1, quantization_drop_max=1, bytes_max=10**9, parameters_max=10**9)


def missed(gate: Gate, candidate: Candidate) -> list[str]:
    return [result.limit for result in check(gate, candidate) if not result.passed]


def test_a_candidate_within_all_limits_passes() -> None:
    assert missed(GATE, GOOD) == []


def test_each_limit_is_missed_by_itself() -> None:
    assert missed(GATE, replace(GOOD, teacher_accuracy=0.951)) == ["teacher_drop_max"]
    assert missed(GATE, replace(GOOD, fp32_accuracy=0.924)) == ["quantization_drop_max"]
    assert missed(GATE, replace(GOOD, int8_bytes=1001)) == ["bytes_max"]
    assert missed(GATE, replace(GOOD, parameters=501)) == ["parameters_max"]
    assert missed(GATE, replace(GOOD, baseline_accuracy=0.93)) == ["beats_baseline"]
    low = replace(GOOD, int8_accuracy=0.89, fp32_accuracy=0.89, teacher_accuracy=0.9)
    assert missed(GATE, low) == ["accuracy_min"]


def test_a_figure_at_its_limit_passes() -> None:
    at = replace(GOOD, int8_accuracy=0.9, fp32_accuracy=0.903, teacher_accuracy=0.93)
    assert missed(GATE, at) == []


def test_equal_to_the_baseline_is_not_better() -> None:
    assert missed(NONE, replace(GOOD, int8_accuracy=0.84)) == ["beats_baseline"]


accuracies = st.integers(0, 10_000).map(lambda right: right / 10_000)


@given(teacher=accuracies, baseline=accuracies, fp32=accuracies, int8=accuracies)
def test_no_recipe_lets_a_student_through_that_does_not_beat_the_baseline(
    teacher: float, baseline: float, fp32: float, int8: float
) -> None:
    passed = missed(NONE, Candidate(teacher, baseline, fp32, int8, 1, 1)) == []
    assert passed == (int8 > baseline)


@given(worse=accuracies, better=accuracies)
def test_a_better_student_never_misses_a_limit_that_a_worse_one_meets(worse: float, better: float) -> None:
    worse, better = sorted((worse, better))
    assert set(missed(GATE, replace(GOOD, int8_accuracy=better))) <= set(
        missed(GATE, replace(GOOD, int8_accuracy=worse))
    )


def test_the_explanation_names_what_was_missed_in_one_line() -> None:
    text = explain(check(GATE, replace(GOOD, int8_bytes=1001, baseline_accuracy=0.93)))
    assert "bytes_max is 1001, expected <= 1000" in text
    assert "beats_baseline is -0.01, expected > 0" in text
    assert "accuracy_min" not in text
    assert "\n" not in text
