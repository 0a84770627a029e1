"""How right the energy ledger is: simulated devices whose truth is known, beside sharing by busy time alone.

`make bench-energy` prints the tables of docs/energy.md and draws docs/energy-accuracy.png. Everything is seeded: two runs differ in
what a settlement costs alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests/service/energy"))

from clocks import Governor  # noqa: E402
from counters import Counter  # noqa: E402
from history import FIVE, TWO, Host  # noqa: E402
from simulator import Outcome, key, run  # noqa: E402

PICTURE = ROOT / "docs/energy-accuracy.png"
FAST, NOISY, SLOW = Counter(0.1), Counter(0.1, noise=0.05), Counter(1.0, noise=0.05)


@dataclass(frozen=True)
class Case:
    """One kind of device and load, the limit that its errors have to keep, and whether its power adds up."""

    name: str
    host: Host
    counter: Counter
    limit: float | None
    linear: bool = True


OVERLAPPING = Host(TWO["overlapping"])
BATCHES = replace(OVERLAPPING, loads=tuple(replace(load, batches=(1, 2, 4, 8, 16)) for load in OVERLAPPING.loads))
GOVERNED = Governor()
TURBO = Governor(slowest=0.8, slowest_volts=0.9, turbo=0.2)
CASES = (
    *(Case(f"{name}, 100 ms, 300 s", Host(loads), FAST, 0.01) for name, loads in TWO.items()),
    *(Case(f"{name}, 100 ms, 5 % noise, 300 s", Host(loads), NOISY, 0.03) for name, loads in TWO.items()),
    Case("gaps, 1 ms, 300 s", Host(TWO["gaps"]), Counter(0.001, quantum_joules=6.1e-5), 0.01),
    Case("overlapping, 1 s, 5 % noise, 1800 s", replace(OVERLAPPING, seconds=1800), SLOW, 0.03),
    Case("overlapping, 70 W cap, 300 s", replace(OVERLAPPING, cap_watts=70), FAST, 0.08, linear=False),
    Case("gaps, idle drifts by 20 %, 300 s", replace(Host(TWO["gaps"]), idle_drift=0.2), FAST, None, linear=False),
    *(
        Case(f"{name}, DVFS, 300 s", Host(loads, governor=GOVERNED), FAST, None, linear=False)
        for name, loads in TWO.items()
    ),
    Case(
        "overlapping, DVFS, 1 s, 1800 s",
        replace(OVERLAPPING, seconds=1800, governor=GOVERNED),
        SLOW,
        None,
        linear=False,
    ),
    Case("overlapping, turbo, 300 s", replace(OVERLAPPING, governor=TURBO), FAST, None, linear=False),
    Case(
        "overlapping, DVFS and turbo, 300 s",
        replace(OVERLAPPING, governor=Governor(turbo=0.15)),
        FAST,
        None,
        linear=False,
    ),
    Case("overlapping, batches of 1–16, 300 s", BATCHES, FAST, None, linear=False),
    Case("overlapping, batches, DVFS, 300 s", replace(BATCHES, governor=GOVERNED), FAST, None, linear=False),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each case")
    parser.add_argument("--coverage", type=int, default=500, help="runs that the intervals are tested on")
    chosen = parser.parse_args(arguments)
    columns = "case", "limit", "ledger: 60 W", "25 W", "by busy time alone: 60 W", "25 W", "held", "flagged nonlinear"
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    outcomes = {case.name: [run(case.host, case.counter, seed) for seed in range(chosen.seeds)] for case in CASES}
    kept = [_row(case, outcomes[case.name]) for case in CASES]
    _draw(outcomes)
    held = _coverage(chosen.coverage)
    _five("", Host(FIVE), chosen.seeds)
    _five(", DVFS", Host(FIVE, governor=GOVERNED), chosen.seeds)
    _cost()
    return 0 if all(kept) and held >= 0.93 else 1


def _row(case: Case, outcomes: list[Outcome]) -> bool:
    median = [float(np.median([abs(outcome.error(model)) for outcome in outcomes])) for model in (0, 1)]
    naive = [float(np.median([outcome.error_by_busy_time(model) for outcome in outcomes])) for model in (0, 1)]
    held = [held for outcome in outcomes for model in (0, 1) if (held := outcome.holds(model)) is not None]
    flagged = sum(outcome.ledger.nonlinear for outcome in outcomes)
    cells = (
        case.name,
        "" if case.limit is None else f"{case.limit:.0%}",
        *("unknown" if np.isinf(each) else f"{each:.2%}" for each in median),
        *(f"{each:+.0%}" for each in naive),
        f"{sum(held)} of {len(held)}",
        f"{flagged} of {len(outcomes)}",
    )
    print(f"| {' | '.join(cells)} |", flush=True)
    return case.limit is None or max(median) <= case.limit


def _coverage(runs: int) -> float:
    """Of the linear cases in turn, both models."""
    linear = [case for case in CASES if case.linear]
    held: list[bool | None] = []
    ratios: list[float] = []
    for number in range(runs):
        case = linear[number % len(linear)]
        outcome = run(case.host, case.counter, 1000 + number)
        held += [outcome.holds(model) for model in (0, 1)]
        for model in (0, 1):
            interval, truth = outcome.ledger.ci95(key(model)), outcome.truth.joules_per_item(model)
            if interval is not None:
                ratios.append((interval[1] - interval[0]) / 2 / truth)
    known = [each for each in held if each is not None]
    part = sum(known) / max(1, len(known))
    print(
        f"\n95 % intervals: {part:.1%} of {len(known)} from {runs} runs hold the truth; {len(held) - len(known)} not stated."
    )
    print(
        f"Half their width: median {np.median(ratios):.2%}, 90th percentile {np.quantile(ratios, 0.9):.2%} of the truth."
    )
    return part


def _five(what: str, host: Host, seeds: int) -> None:
    outcomes = [run(host, NOISY, seed) for seed in range(seeds)]
    print(f"\nfive models, 100 ms, 5 % noise{what}, 300 s, one of them runs 1 s of it:")
    for model, load in enumerate(FIVE):
        errors = [abs(outcome.error(model)) for outcome in outcomes if np.isfinite(outcome.error(model))]
        stated = [(outcome.ledger.ci95(key(model)), outcome.truth.joules_per_item(model)) for outcome in outcomes]
        widths = [(interval[1] - interval[0]) / 2 / truth for interval, truth in stated if interval is not None]
        held = sum(outcome.holds(model) is True for outcome in outcomes)
        print(
            f"  {load.watts:.0f} W: median error {np.median(errors):.2%}, median half interval {np.median(widths):.1%},"
            f" {held} of {len(widths)} stated hold the truth"
        )


def _cost() -> None:
    """CPU time of a poll that settles, everything included."""
    for loads in (TWO["overlapping"], FIVE):
        began = time.process_time()
        outcome = run(replace(OVERLAPPING, loads=loads, seconds=1000), FAST)
        each = (time.process_time() - began) / outcome.ledger.settled
        print(f"\none settlement of {len(loads)} models: {each * 1e6:.0f} µs of CPU, the simulation included")


def _draw(outcomes: dict[str, list[Outcome]]) -> None:
    figure = Figure(figsize=(9, 8), layout="constrained")
    axes = figure.add_subplot(xlabel="error of joules per inference, %", title="Two models, 60 W and 25 W: every run")
    for at, (_, runs) in enumerate(outcomes.items()):
        for model, colour in ((0, "#1f77b4"), (1, "#d62728")):
            height = np.full(len(runs), -at + (0.12 if model == 0 else -0.12))
            axes.plot([100 * each.error(model) for each in runs], height, "o", color=colour, ms=4, alpha=0.6)
            axes.plot(
                [100 * each.error_by_busy_time(model) for each in runs], height, "x", color=colour, ms=4, alpha=0.6
            )
    axes.set_yticks([-at for at in range(len(outcomes))], list(outcomes))
    axes.axvline(0, color="#888888", lw=0.8)
    marks = (("o", "#1f77b4", "ledger, 60 W"), ("o", "#d62728", "ledger, 25 W"))
    marks += (("x", "#1f77b4", "by busy time, 60 W"), ("x", "#d62728", "by busy time, 25 W"))
    for mark, colour, label in marks:
        axes.plot([], [], mark, color=colour, label=label)
    axes.set_xlim(-30, 115)
    axes.legend(loc="center right")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(PICTURE, dpi=110, facecolor="white")


if __name__ == "__main__":
    sys.exit(main())
