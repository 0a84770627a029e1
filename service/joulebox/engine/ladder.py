"""The ladder: a package's variants in the order in which a host tries them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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


def rungs(package: Package) -> list[Variant]:
    """The package's variants, best first; those of one provider by their time on this host, where all were measured here.

    Raises:
        PackageError: the evidence is not what the manifest says.
    """
    variants, measured = package.manifest.variants, _measured_here(package)
    by_provider = {provider: [each for each in variants if each.provider == provider] for provider in PRECISIONS}
    ordered: list[Variant] = []
    for provider, group in by_provider.items():
        best_first = sorted(group, key=lambda variant: PRECISIONS[provider].index(variant.precision))
        if all(variant.name in measured for variant in group):
            best_first.sort(key=lambda variant: measured[variant.name])
        ordered += best_first
    return ordered


def _measured_here(package: Package) -> Mapping[str, float]:
    """Variant to seconds, of one inference at a time; empty where they were measured on another machine, or not at all."""
    if LATENCY not in package.manifest.evidence:
        return {}
    try:
        said: Any = json.loads(package.read(LATENCY))
        here = said["host"] == describe_host(os.environ).fingerprint
        return {str(name): float(seconds) for name, seconds in said["latency_s"].items()} if here else {}
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
