"""The gate of a given model: limits that its int8 form has to meet, or no package is written."""

from __future__ import annotations

from joulebox.package.manifest import GateResult
from joulebox_build.errors import DataError
from joulebox_build.judge.agreement import Agreement
from joulebox_build.judge.gate import ROUNDING
from joulebox_build.recipe import AgreementGate


def check(gate: AgreementGate, found: Agreement, *, speedup: float, int8_bytes: int) -> list[GateResult]:
    """One result for each limit, met or not.

    Raises:
        DataError: float is sure of no test sample, so that one limit cannot be checked.
    """
    if found.sure_agreement is None:
        raise DataError(
            f"float's confidence is at least {gate.sure:g} for none of the {found.samples} test samples; "
            "lower gate.sure, or test on other samples"
        )
    return [
        _at_least("agreement_min", gate.agreement_min, found.agreement),
        _at_least("sure_agreement_min", gate.sure_agreement_min, found.sure_agreement),
        _at_least("speedup_min", gate.speedup_min, speedup),
        GateResult(
            limit="bytes_max", expected=f"<= {gate.bytes_max}", actual=int8_bytes, passed=int8_bytes <= gate.bytes_max
        ),
    ]


def _at_least(limit: str, least: float, actual: float) -> GateResult:
    return GateResult(limit=limit, expected=f">= {least:g}", actual=round(actual, 9), passed=actual >= least - ROUNDING)
