"""A package's variants on every engine that this host has, beside plain ONNX Runtime as it comes.

`python -m bench.engines PACKAGE…` tunes each package as a user would, in a state folder of its own, and prints a table for each: the
time of one inference as a part of what ONNX Runtime takes with its default settings for the fp32 file, models in turns; what our
engine adds to a bare `session.run`; and how long a server takes to be ready, with the tuning and without.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench.process import free_port
from joulebox.engine import EngineError, Rung, open_engine, rungs
from joulebox.host import Tuning, open_state, read_tuning
from joulebox.package import Package, Variant, open_package
from joulebox.runtime.golden import read_golden, sample

DEFAULT = "onnxruntime as it comes, cpu-fp32"
ROUNDS, TURN_S, TURN_RUNS_MIN = 40, 0.05, 5
STARTS, START_S = 5, 60.0
JOULEBOX = [sys.executable, "-m", "joulebox.cli.main"]

Run = Callable[[], object]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("packages", nargs="*", type=Path, default=[Path("models/fashion/package")])
    for path in arguments.parse_args().packages:
        with tempfile.TemporaryDirectory() as folder:
            state = {**os.environ, "JOULEBOX_STATE": folder}
            subprocess.run([*JOULEBOX, "tune", str(path)], env=state, check=True, stdout=subprocess.DEVNULL)
            package = open_package(path)
            tuning = read_tuning(open_state(state), package.manifest.version)
            assert tuning is not None
            print(f"\n{package.manifest.name} {package.manifest.version}\n")
            print(table(compared(contenders(package, tuning))))
            print(f"\nour engine adds {overhead_s(package) * 1e6:.1f} µs to a bare session.run")
            for words, environment in (("as tuned", state), ("untuned", {**state, "JOULEBOX_STATE": f"{folder}/none"})):
                print(f"ready, {words}: {ready_s(path, environment):.2f} s")


def contenders(package: Package, tuning: Tuning) -> dict[str, Run]:
    """What is compared, each ready to run one golden sample; the default first."""
    first, cores = _first(package), os.cpu_count() or 1
    plain = _session(package.read(_variant(package, "cpu-fp32").file))
    names = [output.name for output in package.manifest.outputs]
    found: dict[str, Run] = {DEFAULT: lambda: plain.run(names, first)}
    for rung in rungs(package):
        if rung.variant.provider == "CPUExecutionProvider":
            for threads in sorted({1, cores}):
                try:
                    run = _runner(package, replace(rung, threads=threads))
                except EngineError as error:
                    print(f"{rung.name} is left out: {error}")
                else:
                    found[f"{rung.variant.name}, {rung.engine}, {threads} threads"] = run
    chosen = rungs(package, tuning)[0]
    found[f"**as tuned** ({chosen.variant.name}, {chosen.engine}, {chosen.threads})"] = _runner(package, chosen)
    return found


def compared(runs: Mapping[str, Run]) -> dict[str, tuple[float, NDArray[Any]]]:
    """By name, the median seconds of a run, and its quartiles as parts of the first one's, over turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            seconds[name].append(_median_s(run))
    first = np.asarray(seconds[next(iter(runs))])
    return {
        name: (float(np.median(each)), np.quantile(np.asarray(each) / first, (0.5, 0.25, 0.75)))
        for name, each in seconds.items()
    }


def table(found: Mapping[str, tuple[float, NDArray[Any]]]) -> str:
    lines = ["| | ms | part of the default's time (quartiles) |", "| --- | --- | --- |"]
    for name, (seconds, (middle, low, high)) in found.items():
        lines.append(f"| {name} | {seconds * 1e3:.3g} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    return "\n".join(lines)


def overhead_s(package: Package) -> float:
    """What `run` of our ONNX Runtime engine takes longer than the session's own, in turns."""
    engine: Any = open_engine(package, Rung(_variant(package, "cpu-int8"), "onnxruntime"))
    bare, first = engine._session, _first(package)  # noqa: SLF001  # the very session that it runs
    names = [output.name for output in package.manifest.outputs]
    runs: tuple[Run, Run] = (lambda: engine.run(first), lambda: bare.run(names, first))
    turns = [[_median_s(run) for run in runs] for _ in range(2 * ROUNDS)]
    return float(np.median([ours - theirs for ours, theirs in turns]))


def ready_s(path: Path, environment: Mapping[str, str]) -> float:
    """The median time from the start of `joulebox serve` to its being ready."""
    return float(np.median([_start_s(path, environment) for _ in range(STARTS)]))


def _start_s(path: Path, environment: Mapping[str, str]) -> float:
    port, started = free_port(), time.perf_counter()
    command = [*JOULEBOX, "serve", str(path), "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - started < START_S:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                    return time.perf_counter() - started
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.01)
        raise TimeoutError(f"{path} was not ready within {START_S:g} s")
    finally:
        server.terminate()
        server.wait()


def _variant(package: Package, name: str) -> Variant:
    for variant in package.manifest.variants:
        if variant.name == name:
            return variant
    raise SystemExit(f"{package.folder} has no variant {name}; expected a package that joulebox build has made")


def _runner(package: Package, rung: Rung) -> Run:
    engine, first = open_engine(package, rung), _first(package)
    return lambda: engine.run(first)


def _first(package: Package) -> dict[str, NDArray[Any]]:
    inputs, _ = read_golden(package)
    return {name: np.asarray(array) for name, array in sample(inputs, 0, batched=package.manifest.batched).items()}


def _session(model: bytes) -> Any:
    ort: Any = onnxruntime  # its stubs are partial
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def _median_s(run: Run) -> float:
    run()
    times = [time.perf_counter()]
    while times[-1] - times[0] < TURN_S or len(times) <= TURN_RUNS_MIN:
        run()
        times.append(time.perf_counter())
    return float(np.median([after - before for before, after in pairwise(times)]))


if __name__ == "__main__":
    main()
