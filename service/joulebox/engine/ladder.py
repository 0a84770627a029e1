"""The ladder: a package's variants in the order in which a host tries them."""

from __future__ import annotations

from joulebox.engine.engine import Engine
from joulebox.engine.onnxruntime import OnnxRuntimeEngine
from joulebox.package import Package, Variant

PRECISIONS = ["int8", "fp32", "mixed", "fp16", "bf16", "fp64"]
"""Best first on a CPU, where nothing was measured on this host: it computes halves by way of fp32, which costs more."""


def rungs(variants: list[Variant]) -> list[Variant]:
    """The variants, best first."""
    return sorted(variants, key=lambda variant: PRECISIONS.index(variant.precision))


def open_engine(package: Package, variant: Variant, *, threads: int) -> Engine:
    """Opens a variant; its files' bytes are checked against their digests first.

    Raises:
        PackageError: a file is not what the manifest says.
        EngineError: this host cannot run it.
    """
    external = {file.removeprefix(variant.folder): package.read(file) for file in variant.external_data}
    return OnnxRuntimeEngine(variant, package.read(variant.file), package.manifest, external, threads=threads)
