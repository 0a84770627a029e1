"""The gate: limits that the int8 student and each other form that ships have to meet, or no package is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from joulebox.package.manifest import GateResult
from joulebox_build.graph.memory import Memory
from joulebox_build.judge.cost import Cost
from joulebox_build.judge.paired import Paired, wilson
from joulebox_build.judge.quality import Quality
from joulebox_build.judge.slices import Group, large, widest, worst
from joulebox_build.recipe import Gate

ROUNDING = 1e-9  # accuracies are fractions of counts; their differences carry rounding errors of this order at most
MEASURED = ("latency_p99_max_s", "joules_per_inference_max", "speedup_min")  # another run has another figure


@dataclass(frozen=True)
class Form:
    """A form beside int8 in which the student is shipped, on the test data: it has to be as good, whatever it costs."""

    name: str  # of the variant
    right: int  # of so many samples
    samples: int
    fp32: Paired | None  # the student in fp32 first, in this form second; None where this is fp32


@dataclass(frozen=True)
class Candidate:
    """What is held against the limits: the int8 student's figures on the test data, and how it does beside others there."""

    quality: Quality
    cost: Cost
    memory: Memory
    bytes: int
    parameters: int
    teacher: Paired  # the teacher first, the student second
    fp32: Paired  # the student in fp32 first, in int8 second
    baseline: Paired  # the student first, the best baseline second
    baseline_name: str
    forms: Sequence[Form] = ()


@dataclass(frozen=True)
class Figure:
    """What is held against a limit; None is unknown, which meets none. `excused`: beyond the limit, but noise explains it."""

    value: float | None
    note: str | None = None
    excused: bool = False


def check(gate: Gate, candidate: Candidate) -> list[GateResult]:
    """One result for each limit of the recipe, met or not, and first the one that no recipe can switch off."""
    results = [_beats_baseline(gate, candidate)]
    for name, figure_of in FIGURES.items():
        limit: float | None = getattr(gate, name)
        if limit is not None:
            results.append(_held(name, limit, figure_of(gate, candidate)))
    return results + [result for form in candidate.forms for result in _check_form(gate, form)]


def _check_form(gate: Gate, form: Form) -> list[GateResult]:
    """The limits of what is answered, each named after the variant."""
    results: list[GateResult] = []
    if gate.accuracy_min is not None:
        low, high = wilson(form.right, form.samples)
        figure = Figure(form.right / form.samples, _interval(low, high))
        results.append(_held(f"{form.name} accuracy_min", gate.accuracy_min, figure))
    if gate.quantization_drop_max is not None and form.fp32 is not None:
        figure = _drop(gate, form.fp32)
        results.append(_held(f"{form.name} quantization_drop_max", gate.quantization_drop_max, figure))
    return results


def _held(name: str, limit: float, figure: Figure) -> GateResult:
    least = "_min" in name
    met = figure.value is not None and (figure.value >= limit - ROUNDING if least else figure.value <= limit + ROUNDING)
    expected = f"{'>=' if least else '<='} {limit:.6g}"
    note = figure.note if met or not figure.excused else f"beyond the limit, but noise explains it: {figure.note}"
    return _result(name, expected, figure.value, passed=met or figure.excused, note=note)


def _result(limit: str, expected: str, actual: float | None, *, passed: bool, note: str | None) -> GateResult:
    rounded = None if actual is None else float(f"{actual:.9g}")
    return GateResult(limit=limit, expected=expected, actual=rounded, passed=passed, note=note)


def _beats_baseline(gate: Gate, candidate: Candidate) -> GateResult:
    beside = candidate.baseline
    passed = beside.lead > ROUNDING and beside.p_value < gate.significance
    note = f"{candidate.baseline_name}: {_test(gate, beside)}"
    return _result("beats_baseline", "> 0", beside.lead, passed=passed, note=note)


def _test(gate: Gate, beside: Paired) -> str:
    low, high = beside.interval
    verdict = "significant" if beside.p_value < gate.significance else "not significant"
    return f"{verdict}, McNemar p = {beside.p_value:.2g}, 95 % interval {low:+.2%} to {high:+.2%}"


def _drop(gate: Gate, beside: Paired) -> Figure:
    return Figure(beside.lead, _test(gate, beside), excused=beside.p_value >= gate.significance)


def _slice_accuracy(gate: Gate, candidate: Candidate) -> Figure:
    found = worst(_judged(gate, candidate))
    return _no_group(gate) if found is None else Figure(found.accuracy, found.describe())


def _slice_gap(gate: Gate, candidate: Candidate) -> Figure:
    found = widest(_judged(gate, candidate))
    if found is None:
        return _no_group(gate)
    low, high = found
    return Figure(
        high.accuracy - low.accuracy, f"{low.slice}: {low.group} {low.accuracy:.2%}, {high.group} {high.accuracy:.2%}"
    )


def _judged(gate: Gate, candidate: Candidate) -> list[Group]:
    return large(candidate.quality.groups, gate.slice_samples_min)


def _no_group(gate: Gate) -> Figure:
    return Figure(
        None, f"no group has {gate.slice_samples_min} samples: lower slice_samples_min or have more test data"
    )


def _corruption_drop(_: Gate, candidate: Candidate) -> Figure:
    quality = candidate.quality
    low = min(quality.corruptions, key=lambda each: each.accuracy)  # the recipe has one at least
    note = f"{low.kind} {low.severity}: {low.accuracy:.2%} instead of {quality.accuracy:.2%}"
    return Figure(quality.accuracy - low.accuracy, note)


def _joules(_: Gate, candidate: Candidate) -> Figure:
    cost = candidate.cost
    return Figure(cost.joules_per_inference, f"source: {cost.energy_source}; {cost.energy_note}")


def _accuracy(_: Gate, candidate: Candidate) -> Figure:
    low, high = candidate.quality.ci95
    return Figure(candidate.quality.accuracy, _interval(low, high))


def _interval(low: float, high: float) -> str:
    return f"95 % interval {low:.2%} to {high:.2%}"


def _peak_memory(_: Gate, candidate: Candidate) -> Figure:
    return Figure(candidate.memory.peak_activation_bytes, f"at {candidate.memory.peak_operator}")


FIGURES: Mapping[str, Callable[[Gate, Candidate], Figure]] = {
    "accuracy_min": _accuracy,
    "teacher_drop_max": lambda gate, candidate: _drop(gate, candidate.teacher),
    "quantization_drop_max": lambda gate, candidate: _drop(gate, candidate.fp32),
    "agreement_min": lambda _, candidate: Figure(candidate.quality.agreement),
    "calibration_error_max": lambda _, candidate: Figure(candidate.quality.calibration_error),
    "slice_accuracy_min": _slice_accuracy,
    "slice_gap_max": _slice_gap,
    "corruption_drop_max": _corruption_drop,
    "bytes_max": lambda _, candidate: Figure(candidate.bytes),
    "parameters_max": lambda _, candidate: Figure(candidate.parameters),
    "peak_memory_max_bytes": _peak_memory,
    "latency_p99_max_s": lambda _, candidate: Figure(candidate.cost.latency_p99_s, "measured on the build host"),
    "joules_per_inference_max": _joules,
}


def repeatable(results: list[GateResult]) -> list[GateResult]:
    """For the manifest, which is the same from run to run: without the figures that were measured."""
    hidden = {"actual": None, "note": "measured on the build host: the figure is in report.json"}
    return [result.model_copy(update=hidden) if result.limit in MEASURED else result for result in results]


def explain(results: list[GateResult]) -> str:
    """The limits that were missed, in one line."""
    missed = [
        f"{result.limit} is {shown(result.actual)}, expected {result.expected}"
        for result in results
        if not result.passed
    ]
    return f"the gate failed, so no package was written: {'; '.join(missed)}; improve the student, leave out a variant that fails or, if they are wrong, change the limits in the recipe"


def shown(actual: float | None) -> str:
    """A figure for people; unknown is said, never 0."""
    return "unknown" if actual is None else f"{actual:.6g}"


def table(results: list[GateResult]) -> Table:
    """The gate for a terminal."""
    shown_as = Table(
        "limit", "expected", "actual", "", "", title="gate", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for result in results:
        verdict = "passed" if result.passed else "FAILED"
        shown_as.add_row(
            result.limit,
            result.expected,
            shown(result.actual),
            verdict,
            escape(result.note or ""),
            style=None if result.passed else "bold red",
        )
    return shown_as
