"""The gate: limits that the int8 student has to meet, or no package is written."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from joulebox.package.manifest import GateResult
from joulebox_build.recipe import Gate

ROUNDING = 1e-9  # accuracies are fractions of counts; their differences carry rounding errors of this order at most


@dataclass(frozen=True)
class Candidate:
    """The figures that are held against the limits. Accuracies are fractions of the test data."""

    teacher_accuracy: float
    baseline_accuracy: float
    fp32_accuracy: float
    int8_accuracy: float
    int8_bytes: int
    parameters: int


def check(gate: Gate, candidate: Candidate) -> list[GateResult]:
    """One result for each limit, met or not. Beating the baseline is one that no recipe can switch off."""
    accuracy = candidate.int8_accuracy
    teacher_drop = candidate.teacher_accuracy - accuracy
    quantization_drop = candidate.fp32_accuracy - accuracy
    lead = accuracy - candidate.baseline_accuracy
    return [
        _result("accuracy_min", f">= {gate.accuracy_min:g}", accuracy, accuracy >= gate.accuracy_min - ROUNDING),
        _result("beats_baseline", "> 0", lead, lead > ROUNDING),
        _at_most("teacher_drop_max", gate.teacher_drop_max, teacher_drop),
        _at_most("quantization_drop_max", gate.quantization_drop_max, quantization_drop),
        _at_most("bytes_max", gate.bytes_max, candidate.int8_bytes),
        _at_most("parameters_max", gate.parameters_max, candidate.parameters),
    ]


def _at_most(limit: str, largest: float, actual: float) -> GateResult:
    return _result(limit, f"<= {largest:.6g}", actual, actual <= largest + ROUNDING)


def _result(limit: str, expected: str, actual: float, passed: bool) -> GateResult:
    return GateResult(limit=limit, expected=expected, actual=round(float(actual), 9), passed=passed)


def explain(results: list[GateResult]) -> str:
    """The limits that were missed, in one line."""
    missed = [
        f"{result.limit} is {result.actual:g}, expected {result.expected}" for result in results if not result.passed
    ]
    return f"the gate failed, so no package was written: {'; '.join(missed)}; improve the student or, if they are wrong, change the limits in the recipe"


def table(results: list[GateResult]) -> Table:
    """The gate for a terminal."""
    shown = Table(
        "limit", "expected", "actual", "", title="gate", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for result in results:
        verdict = "[green]passed[/]" if result.passed else "[red]FAILED[/]"
        shown.add_row(result.limit, result.expected, f"{result.actual:.6g}", verdict)
    return shown
