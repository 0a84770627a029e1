"""int8 of one student by Joulebox and by Intel Neural Compressor, from the same calibration data.

`python -m bench.quantization` prints a table: accuracy on test data, bytes, and latency as a part of fp32's, models in
turns. Neural Compressor runs in an environment of its own, which the first run makes; its model runs in the same ONNX
Runtime as ours.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.environments import PEERS, foreign_environment, python_for
from joulebox_build.compress.choice import Material, choose
from joulebox_build.compress.exam import Score, open_exam
from joulebox_build.graph.inference import run, session
from joulebox_build.progress import Silent
from joulebox_build.recipe import load_recipe
from joulebox_build.recipe.quantization import Quantization
from joulebox_build.train.model import load_data, load_folder

ROUNDS, RUNS = 60, 100
PEER_S = 900


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--recipe", type=Path, default=Path("models/fashion/recipe.yaml"))
    arguments.add_argument("--onnx", type=Path, default=Path("models/fashion/package/current/variants/cpu-fp32.onnx"))
    arguments.add_argument("--samples", type=int, default=1000, help="to calibrate on")
    given = arguments.parse_args()
    recipe, fp32 = load_recipe(given.recipe), given.onnx.read_bytes()
    data, taken = load_data(load_folder(recipe), recipe)
    samples = data.train.inputs[: given.samples]
    settings = Quantization(calibrators=("min-max", "entropy", "percentile"))
    material = Material(samples, taken.encode, open_exam(fp32, data.validation, taken.encode))
    ours, choice = choose(fp32, None, material, settings, Silent())
    made = {
        "fp32": fp32,
        f"Joulebox int8 ({choice.calibrator})": ours.write("cpu"),
        "Neural Compressor int8": _peer(fp32, taken.encode(samples)),
    }
    exam = open_exam(fp32, data.test, taken.encode)
    scores = {name: exam.score(model) for name, model in made.items()}
    print(table(made, scores, ratios(made, taken.encode(data.validation.inputs[:1]))))


def _peer(fp32: bytes, samples: NDArray[Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        model, calibration, out = (Path(folder) / name for name in ("fp32.onnx", "samples.npy", "int8.onnx"))
        model.write_bytes(fp32)
        np.save(calibration, samples)
        script = PEERS / "neural_compressor_peer.py"
        command = [python_for("neural-compressor"), script, model, calibration, out]
        subprocess.run(command, cwd=folder, env=foreign_environment(), check=True, capture_output=True, timeout=PEER_S)
        return out.read_bytes()


def ratios(models: Mapping[str, bytes], sample: NDArray[Any]) -> dict[str, tuple[float, float, float]]:
    """Latency of one sample on one thread as a part of the first model's: median and quartiles over turns."""
    ready = {name: session(model, threads=1) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, one in ready.items():
            times: list[float] = []
            for _ in range(RUNS):
                started = time.perf_counter()
                run(one, sample)
                times.append(time.perf_counter() - started)
            seconds[name].append(float(np.median(times)))
    first = np.asarray(next(iter(seconds.values())))
    found = {name: np.quantile(np.asarray(each) / first, (0.5, 0.25, 0.75)) for name, each in seconds.items()}
    return {name: (float(middle), float(low), float(high)) for name, (middle, low, high) in found.items()}


def table(
    models: Mapping[str, bytes], scores: Mapping[str, Score], parts: Mapping[str, tuple[float, float, float]]
) -> str:
    lines = [
        "| model | test accuracy | divergence from fp32, nats | bytes | latency, fp32 = 1 (quartiles) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, model in models.items():
        score, (middle, low, high) = scores[name], parts[name]
        lines.append(
            f"| {name} | {score.accuracy:.2%} | {score.divergence:.5f} | {len(model):,} "
            f"| {middle:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
