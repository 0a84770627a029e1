"""The ladder: a package's variants in the order in which a host tries them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulebox.engine.engine import Engine
from joulebox.engine.onnxruntime import CPU, CUDA, TENSORRT, OnnxRuntimeEngine
from joulebox.host import describe_host
from joulebox.package import Package, Variant

PRECISIONS = {
    TENSORRT: ["int8", "fp16", "bf16", "mixed", "fp32", "fp64"],
    CUDA: ["fp16", "bf16", "fp32", "mixed", "int8", "fp64"],
    CPU: ["int8", "fp32", "mixed", "fp16", "bf16", "fp64"],
}
"""Best first, providers too, where nothing was measured on this host. CPUs compute halves by way of fp32, which costs more."""
LATENCY = "latency.json"
"""Evidence: `{"host": FINGERPRINT, "latency_s": {VARIANT: SECONDS}}`, as the build measured it."""


TIE = 0.05
"""Of a time: what is within it of the fastest is as fast, as far as a measurement can tell, and the smaller one is kept."""


@dataclass(frozen=True)
class Rung:
    """What of a variant decides its place."""

    name: str
    provider: str
    precision: str
    bytes: int  # of its files


def rungs(package: Package) -> list[Variant]:
    """The package's variants, best first; those of one provider by their time on this host, where all were measured here.

    Raises:
        PackageError: the evidence is not what the manifest says.
    """
    variants, files = {each.name: each for each in package.manifest.variants}, package.manifest.files
    sizes = {
        name: sum(files[file].size for file in (each.file, *each.external_data)) for name, each in variants.items()
    }
    found = [Rung(name, each.provider, each.precision, sizes[name]) for name, each in variants.items()]
    return [variants[name] for name in in_order(found, _measured_here(package))]


def in_order(found: Sequence[Rung], latency_s: Mapping[str, float]) -> list[str]:
    """Their names, best first.

    Args:
        latency_s: variant to seconds on this host, of as many as were measured.
    """
    ordered: list[Rung] = []
    for provider, precisions in PRECISIONS.items():
        group = [rung for rung in found if rung.provider == provider]
        best_first = sorted(group, key=lambda rung: precisions.index(rung.precision))
        measured = all(rung.name in latency_s for rung in group)
        ordered += _by_time(best_first, latency_s) if measured else best_first
    return [rung.name for rung in ordered]


def _by_time(best_first: Sequence[Rung], latency_s: Mapping[str, float]) -> list[Rung]:
    """The fastest first, and of those that are as fast the smallest."""
    left, ordered = list(best_first), list[Rung]()
    while left:
        enough_s = (1 + TIE) * min(latency_s[rung.name] for rung in left)
        chosen = min((rung for rung in left if latency_s[rung.name] <= enough_s), key=lambda rung: rung.bytes)
        left.remove(chosen)
        ordered.append(chosen)
    return ordered


def _measured_here(package: Package) -> Mapping[str, float]:
    """Variant to seconds, of one inference at a time; empty where they were measured on another machine, or not at all."""
    if LATENCY not in package.manifest.evidence:
        return {}
    try:
        said: Any = json.loads(package.read(LATENCY))
        here = said["host"] == describe_host(os.environ).fingerprint
        seconds = {str(name): float(value) for name, value in said["latency_s"].items()} if here else {}
        return {name: value for name, value in seconds.items() if 0 < value < math.inf}
    except (ValueError, KeyError, TypeError, AttributeError):  # another form than ours is no reason not to serve
        return {}


def open_engine(package: Package, variant: Variant, *, threads: int) -> Engine:
    """Opens a variant; its files' bytes are checked against their digests first.

    Raises:
        PackageError: a file is not what the manifest says.
        EngineError: this host cannot run it.
    """
    external = {file.removeprefix(variant.folder): package.read(file) for file in variant.external_data}
    return OnnxRuntimeEngine(variant, package.read(variant.file), package.manifest, external, threads=threads)
