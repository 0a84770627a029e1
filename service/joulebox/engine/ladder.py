"""The ladder: a package's variants in the order in which a host tries them."""

from __future__ import annotations

from joulebox.engine.engine import Engine
from joulebox.engine.onnxruntime import OnnxRuntimeEngine
from joulebox.package import Package, Variant

ORDER = [("onnxruntime", "CPUExecutionProvider", "int8"), ("onnxruntime", "CPUExecutionProvider", "fp32")]
"""Best first, where nothing was measured on this host."""


def rungs(variants: list[Variant]) -> list[Variant]:
    """The variants, best first."""
    return sorted(variants, key=lambda variant: ORDER.index((variant.engine, variant.provider, variant.precision)))


def open_engine(package: Package, variant: Variant, *, threads: int) -> Engine:
    """Opens a variant; its file's bytes are checked against their digest first.

    Raises:
        PackageError: the file is not what the manifest says.
        EngineError: this host cannot run it.
    """
    return OnnxRuntimeEngine(variant, package.read(variant.file), package.manifest, threads=threads)
