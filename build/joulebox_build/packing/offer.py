"""The variants that ship, in the order in which a host tries them that is this one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import onnxruntime

from joulebox.engine.ladder import TIE, Place, in_order
from joulebox.host import describe_host
from joulebox_build.finished import Model
from joulebox_build.graph.inference import PROVIDER
from joulebox_build.packing.seal import KINDS
from joulebox_build.recipe.variants import VariantName

ort: Any = onnxruntime  # its stubs are partial


@dataclass(frozen=True)
class Offered:
    """One variant. Its time is not known where it is made for other hardware than the CPU that a build runs models on."""

    name: VariantName
    model: str  # whose row of the report is its
    provider: str
    here: bool  # whether ONNX Runtime has the provider here
    bytes: int
    times_as_fast: float | None  # as fp32, in turns
    latency_s: float | None  # fp32's median, divided by that

    @property
    def slower(self) -> bool:
        """Than fp32, beyond noise."""
        return self.times_as_fast is not None and self.times_as_fast * (1 + TIE) < 1


@dataclass(frozen=True)
class Offer:
    """Best first."""

    variants: tuple[Offered, ...]

    @property
    def first(self) -> Offered:
        """What this host tries first of what it has the provider for; the CPU's are always among them."""
        return next(each for each in self.variants if each.here)

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "variants": [{**asdict(each), "slower": each.slower} for each in self.variants],
            "first_here": self.first.name,
        }

    def latency(self) -> bytes:
        """`latency.json`, by which this host orders the variants."""
        seconds = {each.name: each.latency_s for each in self.variants if each.latency_s is not None}
        return json.dumps({"host": describe_host(os.environ).fingerprint, "latency_s": seconds}, indent=1).encode()


def for_cpu(name: VariantName) -> bool:
    """Whether its time here says anything."""
    return KINDS[name].provider == PROVIDER


def offer(models: Mapping[VariantName, Model], times_as_fast: Mapping[str, float], fp32_s: float) -> Offer:
    """From the variants' models, the speed of those for the CPU beside fp32's, and fp32's median time."""
    found, seconds = ort.get_available_providers(), {name: fp32_s / times for name, times in times_as_fast.items()}
    offered: dict[str, Offered] = {}
    places: list[Place] = []
    for name, model in models.items():
        kind = KINDS[name]
        here = kind.provider in found
        times, latency_s = times_as_fast.get(name), seconds.get(name)
        offered[name] = Offered(name, model.name, kind.provider, here, model.bytes, times, latency_s)
        places.append(Place(name, kind.provider, kind.precision, model.bytes))
    return Offer(tuple(offered[name] for name in in_order(places, seconds)))
