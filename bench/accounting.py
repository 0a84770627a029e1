"""What accounting for energy costs: the same server with a counter that moves and without any source, side by side.

The cores of a shared machine change their speed from second to second, by more than what is to be seen here. Both servers are
under load all the time, therefore, and awake in turns of fifty milliseconds. A server reads its counter when it wakes and a
reading is due, which is more often, by its own time, than if it were never stopped: what is seen is rather too much.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import urlopen

from bench.counter import ZONE
from bench.environments import UnavailableError, own_environment
from bench.load import Load, read_wrk, wrk_command
from bench.models import Model
from bench.process import running
from bench.results import Accounting
from bench.servers import JOULEBOX, SERVERS, Running
from bench.sidebyside import Plan, reason, served
from joulebox.energy.sources import READERS

ERROR = 0.005  # of the ratio, at which it is known well enough
STARTS_MAX = 10
ROUND_S = 6  # for each second that is planned
TURN_S = 0.05
END_S = 0.2  # the load generators end while both servers stand still
FOUND_S = 10.0


@dataclass(frozen=True)
class _Side:
    running: Running
    folder: Path


def accounting(plan: Plan, model: Model, workers: int, connections: int) -> Accounting | str:
    """The planned rounds, again and again with servers started anew, until the ratio is known to half a per cent. Or why not."""
    seen = Accounting(model.title, workers, connections, [], [])
    try:
        for _ in range(STARTS_MAX):
            _measure(plan, model, seen)
            plan.say(f"accounting, {connections} connections, {workers} workers: {seen.ratio:.3f} ± {seen.error:.3f}")
            if seen.error <= ERROR:
                break
    except (UnavailableError, OSError, subprocess.CalledProcessError) as error:
        return reason(error)
    return seen


def _measure(plan: Plan, model: Model, seen: Accounting) -> None:
    """The planned rounds, with servers that were just started."""
    workers = {"JOULEBOX_WORKERS": str(seen.workers)}
    nothing = {"JOULEBOX_ENERGY_OFF": ",".join(READERS), "JOULEBOX_CPU_WATTS": "off", **workers}
    with (
        moving_counter() as sysfs,
        _serving(model, nothing, []) as off,
        _serving(model, {"JOULEBOX_SYSFS": str(sysfs), **workers}, ["rapl"]) as on,
    ):
        for number in range(plan.rounds):
            first, second = (off, on) if number % 2 else (on, off)
            loads = _round(first, second, seen.connections, ROUND_S * plan.seconds)
            seen.on.append(loads[number % 2])
            seen.off.append(loads[1 - number % 2])


def _round(first: _Side, second: _Side, connections: int, seconds: int) -> tuple[Load, Load]:
    """What both did while they were awake in turns."""
    sides = first, second
    for side in sides:
        side.running.process.pause()
    cpu_s = [side.running.process.cpu_seconds() for side in sides]
    ends_s = time.monotonic() + seconds - END_S
    asking = [
        subprocess.Popen(
            wrk_command(side.running, connections, seconds, side.folder), stdout=subprocess.PIPE, text=True
        )
        for side in sides
    ]
    awake_s = [0.0, 0.0]
    while time.monotonic() < ends_s:
        for number, side in enumerate(sides):
            begun_s = time.monotonic()
            with side.running.process.awake():
                time.sleep(TURN_S)
            awake_s[number] += time.monotonic() - begun_s
    output = [each.communicate()[0] for each in asking]
    cpu_s = [side.running.process.cpu_seconds() - before_s for side, before_s in zip(sides, cpu_s, strict=True)]
    loads = [read_wrk(text, used_s) for text, used_s in zip(output, cpu_s, strict=True)]
    for side in sides:
        side.running.process.resume()
    return tuple(replace(load, requests_per_s=load.requests / s) for load, s in zip(loads, awake_s, strict=True))


@contextmanager
def _serving(model: Model, settings: dict[str, str], readers: list[str]) -> Generator[_Side]:
    """A server that accounts by these readers alone."""
    with served(replace(SERVERS[JOULEBOX], settings=settings), model) as (started, folder):
        until_s = time.monotonic() + FOUND_S
        while (found := _readers(started)) != readers:
            if time.monotonic() > until_s:
                raise UnavailableError(f"it accounts by {found}; expected {readers}")
            time.sleep(0.1)
        yield _Side(started, folder)


def _readers(started: Running) -> list[str]:
    with urlopen(f"http://127.0.0.1:{started.port}/energy", timeout=FOUND_S) as answer:
        return [device["reader"] for device in json.load(answer)["devices"]]


@contextmanager
def moving_counter() -> Generator[Path]:
    """What stands for /sys, with a counter that moves."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        sysfs = Path(folder, "sys")
        mover = [sys.executable, str(Path(__file__).with_name("counter.py")), str(sysfs)]
        with running(mover, own_environment(), Path(folder)):
            until_s = time.monotonic() + FOUND_S
            while not (sysfs / ZONE / "energy_uj").exists():
                if time.monotonic() > until_s:
                    raise UnavailableError(f"no counter in {sysfs} after {FOUND_S:g} s")
                time.sleep(0.01)
            yield sysfs
