"""Whether a model's tensors are those that the manifest says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulebox.engine.engine import EngineError
from joulebox.package import Manifest, TensorSpec
from joulebox.package.manifest import Datatype


@dataclass(frozen=True)
class Declared:
    """A tensor as an engine read it from the model's file."""

    datatype: Datatype | None  # None where the Open Inference Protocol has no such
    shape: Sequence[Any]  # numbers where it is fixed; empty where the file says nothing of the rank
    words: str  # the engine's own, for people

    @property
    def said(self) -> str:
        return f"{self.words} {list(self.shape)}"


def check_tensors(
    file: str, manifest: Manifest, inputs: Mapping[str, Declared], outputs: Mapping[str, Declared]
) -> None:
    """Holds what a model's file says, by name, against the manifest.

    Raises:
        EngineError: they differ.
    """
    _check("input", file, inputs, manifest.inputs)
    _check("output", file, outputs, manifest.outputs)


def _check(kind: str, file: str, found: Mapping[str, Declared], specs: Sequence[TensorSpec]) -> None:
    wanted = sorted(spec.name for spec in specs)
    if sorted(found) != wanted:
        raise EngineError(f"{file} has {kind}s {sorted(found)}; the manifest says {wanted}")
    for spec in specs:
        tensor = found[spec.name]
        if tensor.datatype != spec.datatype or not _fits(tensor.shape, spec.shape, wider=kind == "output"):
            raise EngineError(
                f"{file} has {kind} {spec.name} as {tensor.said}; the manifest says {spec.datatype} {spec.shape}"
            )


def _fits(declared: Sequence[Any], shape: Sequence[int], *, wider: bool) -> bool:
    """Whether a shape of the manifest agrees with the file's.

    A file may be narrower on outputs (`wider`): what it says of those is a remark, which no engine holds it to.
    """
    if not declared:
        return True
    if len(declared) != len(shape):
        return False
    pairs = zip(declared, shape, strict=True)
    return all(not isinstance(size, int) or size in (want, -1) or (wider and want == -1) for size, want in pairs)
