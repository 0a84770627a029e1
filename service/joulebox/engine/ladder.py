"""The ladder: a package's variants, each on an engine, in the order in which a host tries them."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from joulebox.engine import onnxruntime, openvino
from joulebox.engine.engine import Engine, EngineError
from joulebox.engine.onnxruntime import CPU, CUDA, TENSORRT, OnnxRuntimeEngine
from joulebox.engine.openvino import OpenVinoEngine
from joulebox.engine.probe import probe
from joulebox.host import Tuning, describe_host
from joulebox.package import Package, Variant
from joulebox.package.manifest import EngineName

log = logging.getLogger("joulebox.model")

PRECISIONS = {
    TENSORRT: ["int8", "fp16", "bf16", "mixed", "fp32", "fp64"],
    CUDA: ["fp16", "bf16", "fp32", "mixed", "int8", "fp64"],
    CPU: ["int8", "fp32", "mixed", "fp16", "bf16", "fp64"],
}
"""Best first, providers too, where nothing was measured on this host. CPUs compute halves by way of fp32, which costs more."""
ENGINES: dict[EngineName, type[OnnxRuntimeEngine | OpenVinoEngine]] = {
    "onnxruntime": OnnxRuntimeEngine,
    "openvino": OpenVinoEngine,
}
VERSIONS: dict[EngineName, Callable[[], str | None]] = {
    "onnxruntime": onnxruntime.version,
    "openvino": openvino.version,
}
LATENCY = "latency.json"
"""Evidence: `{"host": FINGERPRINT, "latency_s": {VARIANT: SECONDS}}`, as the build measured it."""


TIE = 0.05
"""Of a time: what is within it of the fastest is as fast, as far as a measurement can tell, and the smaller one is kept."""


@dataclass(frozen=True)
class Rung:
    """A variant on an engine that may run it here."""

    variant: Variant
    engine: EngineName
    threads: int = 1
    """Of the engine; 0 is as many as it takes."""
    batch: int | None = None
    """The largest that pays, where that is known."""
    tuned: bool = False
    """On this host."""

    @property
    def name(self) -> str:
        """The variant's, and the engine where it is not the one that the variant was made for."""
        return self.variant.name if self.engine == self.variant.engine else f"{self.variant.name}@{self.engine}"


@dataclass(frozen=True)
class Place:
    """What of a variant decides its place."""

    name: str
    provider: str
    precision: str
    bytes: int  # of its files


def rungs(package: Package, tuning: Tuning | None = None, strict: EngineName | None = None) -> list[Rung]:
    """What may serve the package here, best first: as tuned, then the others in their untuned order.

    Args:
        tuning: of this version on this host; it is passed over, and that is logged, where an engine's library is another by now.
        strict: this engine alone.

    Raises:
        PackageError: the evidence is not what the manifest says.
    """
    ladder = _untuned(package)
    if tuning is not None and _holds(tuning, package.manifest.name):
        found = {(rung.variant.name, rung.engine): rung for rung in ladder}
        chosen = {(choice.variant, choice.engine): choice for choice in tuning.choices}
        first = [
            replace(found[key], threads=choice.threads, batch=choice.batch, tuned=True)
            for key, choice in chosen.items()
            if key in found
        ]
        left = [rung for key, rung in found.items() if key not in chosen]
        for rung in left:
            if rung.variant.provider != CPU and rung.variant.provider in onnxruntime.providers():
                log.warning("%s was not measured by joulebox tune, and comes after what was; run it again", rung.name)
        ladder = first + left
    return [rung for rung in ladder if strict in {None, rung.engine}]


def library_versions() -> dict[str, str]:
    """Of the engines that are installed."""
    return {name: found for name, version in VERSIONS.items() if (found := version()) is not None}


def _holds(tuning: Tuning, model: str) -> bool:
    here = library_versions()
    for engine, version in tuning.libraries.items():
        if here.get(engine) != version:
            log.warning(
                "%s was tuned with %s %s and there is %s now, so its untuned order is taken; run joulebox tune again",
                model,
                engine,
                version,
                here.get(engine, "none"),
            )
            return False
    return True


def _untuned(package: Package) -> list[Rung]:
    """Those of one provider by their time on this host, where the build measured all of them here.

    Where OpenVINO is installed, it comes after all others: nothing is known of its speed.
    """
    variants, size = {each.name: each for each in package.manifest.variants}, package.manifest.size
    places = [Place(name, each.provider, each.precision, size(each)) for name, each in variants.items()]
    ordered = [variants[name] for name in in_order(places, _measured_here(package))]
    own = [Rung(variant, variant.engine) for variant in ordered]
    there = openvino.version() is not None
    return own + [Rung(variant, "openvino") for variant in ordered if there and variant.provider == CPU]


def in_order(found: Sequence[Place], latency_s: Mapping[str, float]) -> list[str]:
    """Their names, best first.

    Args:
        latency_s: variant to seconds on this host, of as many as were measured.
    """
    ordered: list[Place] = []
    for provider, precisions in PRECISIONS.items():
        group = [place for place in found if place.provider == provider]
        best_first = sorted(group, key=lambda place: precisions.index(place.precision))
        measured = all(place.name in latency_s for place in group)
        ordered += _by_time(best_first, latency_s) if measured else best_first
    return [place.name for place in ordered]


def _by_time(best_first: Sequence[Place], latency_s: Mapping[str, float]) -> list[Place]:
    """The fastest first, and of those that are as fast the smallest."""
    left, ordered = list(best_first), list[Place]()
    while left:
        enough_s = (1 + TIE) * min(latency_s[place.name] for place in left)
        chosen = min((place for place in left if latency_s[place.name] <= enough_s), key=lambda place: place.bytes)
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


def open_engine(package: Package, rung: Rung) -> Engine:
    """Opens a variant; its files' bytes are checked against their digests first.

    Raises:
        PackageError: a file is not what the manifest says.
        EngineError: this host cannot run it.
    """
    variant = rung.variant
    external = {file.removeprefix(variant.folder): package.read(file) for file in variant.external_data}
    model, opener = package.read(variant.file), ENGINES[rung.engine]
    try:
        return opener(variant, model, package.manifest, external, threads=rung.threads)
    except EngineError as error:
        why = _why_not(variant.provider) if variant.provider in onnxruntime.providers() else None
        if why is None:
            raise
        raise EngineError(f"{variant.provider} does not work here: {why}") from error


@cache
def _why_not(provider: str) -> str | None:
    """Why a provider for GPUs does not work at all, where it does not: what it says of a model is not the reason."""
    return None if provider == CPU else probe(provider)
