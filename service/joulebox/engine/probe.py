"""Whether a provider works here: a tiny model is run on it, in a process of its own, since libraries may crash or hang.

`python -m joulebox.engine.probe NAME` is that process.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine import onnxruntime as our_onnxruntime
from joulebox.engine import openvino as our_openvino
from joulebox.engine.onnxruntime import CPU, CUDA, TENSORRT, first_line
from joulebox.package.manifest import EngineName

MODEL = Path(__file__).with_name("probe.onnx")
REASONS = (
    (re.compile(r"Failed to load library (?:\S*/)?(\S+) with error: (.+)"), "{} cannot be loaded: {}"),
    (re.compile(r"(CUDA failure \d+: [^;\n]+)"), "{}"),
)
TIMEOUT_S = 120.0  # a first load of CUDA's libraries from a slow disk takes tens of seconds
FAILED = 1
PROVIDERS = (TENSORRT, CUDA, CPU)


@dataclass(frozen=True)
class Probed:
    """A provider of ONNX Runtime, or OpenVINO's device. `why` it does not work; None where it does."""

    engine: EngineName
    provider: str
    why: str | None


def probe_all(timeout_s: float = TIMEOUT_S) -> list[Probed]:
    """What this host's libraries say that they have, and that variants are made for, each tried."""
    found = our_onnxruntime.providers()
    names: list[tuple[EngineName, str]] = [("onnxruntime", name) for name in PROVIDERS if name in found]
    if our_openvino.version() is not None:
        names.append(("openvino", our_openvino.CPU))
    return [Probed(engine, name, probe(name, timeout_s)) for engine, name in names]


def probe(name: str, timeout_s: float = TIMEOUT_S) -> str | None:
    """Why it does not work; None where it does."""
    command = [sys.executable, "-m", "joulebox.engine.probe", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return f"it did not answer within {timeout_s:g} s"
    except OSError as error:
        return f"no process could be started to try it: {error}"
    if done.returncode == 0:
        return None
    return reason(done.stdout, done.stderr, done.returncode)


def reason(out: str, log: str, status: int) -> str:
    """Why, of what the process and the library's log have said: the exception alone says that the CPU would have had to do it."""
    for pattern, words in REASONS:
        found = pattern.search(log)
        if found:
            return words.format(*found.groups())
    said = out.strip().splitlines()
    if status == FAILED and said:
        return said[-1]
    last = (log.strip().splitlines() or ["it said nothing"])[-1]
    return f"its process ended with status {status}: {last[:300]}"


def _run_onnxruntime(provider: str) -> NDArray[Any]:
    ort = our_onnxruntime.ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # else it falls back silently
    session = ort.InferenceSession(MODEL.read_bytes(), options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"onnxruntime chose {session.get_providers()[0]} in its place")
    return session.run(None, {"x": _ones()})[0]


def _run_openvino(device: str) -> NDArray[Any]:
    import openvino  # only where it is asked for  # noqa: PLC0415

    ov: Any = openvino  # its types are not known where the extra is not installed
    core = ov.Core()
    compiled = core.compile_model(core.read_model(MODEL.read_bytes()), device)
    return next(iter(compiled(_ones()).values()))


def _ones() -> NDArray[Any]:
    return np.ones((1, 1, 4, 4), np.float32)


def _wrong(run: Callable[[str], NDArray[Any]], name: str) -> str | None:
    """Why it does not work."""
    try:
        found = run(name)
    except Exception as error:  # whatever the library raises
        return first_line(error)
    edge = (2, 3, 3, 2)  # of the 3 x 3 around a pixel, so many rows or columns lie inside
    expected = np.array([[[[row * column for column in edge] for row in edge]]], np.float32)
    return (
        None
        if np.allclose(found, expected, atol=1e-2)
        else f"it computes {found.ravel()[:4]}, not {expected.ravel()[:4]}"
    )


if __name__ == "__main__":
    why = _wrong(_run_openvino if sys.argv[1] == our_openvino.CPU else _run_onnxruntime, sys.argv[1])
    if why is not None:
        print(why)
        sys.exit(FAILED)
