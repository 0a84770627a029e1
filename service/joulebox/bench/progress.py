"""One line of live progress on a terminal; nothing elsewhere.

It is drawn in the load generator's own process, twice a second: drawing takes it about half a millisecond, which a percentile
would show if it came more often.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from joulebox.bench.run import Step, Watch
from joulebox.bench.tally import Tally
from joulebox.bench.words import load_name, milliseconds


@contextmanager
def live_progress(console: Console) -> Generator[Watch]:
    """What shows requests so far, requests per second and p99 of the step that runs."""
    if not console.is_terminal:
        yield lambda step, tally: None  # noqa: ARG005  # the names are part of the type
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda step, tally: live.update(Text(progress_line(step, tally, time.perf_counter())), refresh=True)


def progress_line(step: Step, tally: Tally, now_s: float) -> str:
    load = load_name(step.connections, step.rate)
    passed_s = min(now_s, tally.end_s) - tally.begin_s
    if passed_s <= 0:
        return f"{load}: warming up, {tally.warmup:,} requests"
    p99_s = tally.latency.quantile(0.99)
    p99 = "-" if p99_s is None else f"{milliseconds(p99_s * 1e3)} ms"
    left_s = tally.end_s - tally.begin_s - passed_s
    return (
        f"{load}: {tally.requests:,} requests, {tally.answered / passed_s:,.0f}/s, p99 {p99}, "
        f"{sum(tally.errors.values()):,} errors, {left_s:.0f} s left"
    )
