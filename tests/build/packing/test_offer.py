"""What ships, in the order in which this host would try it: by the turns with fp32 that were measured here, and by nothing else."""

import json
import os

import pytest

from joulebox.host import describe_host
from joulebox_build.data.encode import ModelInput
from joulebox_build.finished import MODEL, Model
from joulebox_build.packing.offer import Offer, for_cpu, offer
from joulebox_build.recipe.variants import VariantName
from joulebox_build.report.words import first_here
from joulebox_build.spending import Spent
from joulebox_build.stage import Artifact

FP32_S = 1e-4


def model(name: str, size: int) -> Model:
    made = Artifact("variant", name, "key", cached=False, seconds=0.0, spent=Spent(), files={MODEL: bytes(size)})
    return Model(f"student {name}", (made,), 10, ModelInput("x", "FP32", (1,), lambda found: found))


MODELS: dict[VariantName, Model] = {"cpu-int8": model("int8", 100), "cpu-fp32": model("fp32", 400)}
ALL: dict[VariantName, Model] = {**MODELS, "gpu-fp16": model("half", 200), "trt-int8": model("trt", 120)}


def with_int8(times_as_fast: float, models: dict[VariantName, Model] = MODELS) -> Offer:
    return offer(models, {"cpu-fp32": 1.0, "cpu-int8": times_as_fast}, FP32_S)


def names(found: Offer) -> list[str]:
    return [each.name for each in found.variants]


@pytest.mark.parametrize(("times_as_fast", "first"), [(2.0, "cpu-int8"), (0.96, "cpu-int8"), (0.8, "cpu-fp32")])
def test_int8_comes_first_unless_it_is_slower_beyond_noise(times_as_fast: float, first: str) -> None:
    found = with_int8(times_as_fast)
    assert (names(found)[0], found.first.name) == (first, first)
    assert [each.slower for each in found.variants if each.name == "cpu-int8"] == [first != "cpu-int8"]


def test_who_reads_it_is_told_why_fp32_comes_first() -> None:
    assert first_here(with_int8(2.0)) == "this host would serve cpu-int8 first"
    said = first_here(with_int8(0.8))
    assert said == "this host would serve cpu-fp32 first: cpu-int8 takes 1.25 × the time of fp32 here, both in turns"


def test_the_time_of_a_form_for_other_hardware_is_not_known_and_never_a_figure() -> None:
    found = {each.name: each for each in with_int8(2.0, ALL).variants}
    assert [name for name in ALL if not for_cpu(name)] == ["gpu-fp16", "trt-int8"]
    for name in ("gpu-fp16", "trt-int8"):
        assert (found[name].times_as_fast, found[name].latency_s, found[name].slower) == (None, None, False)
    assert list(found)[:2] == ["trt-int8", "gpu-fp16"]
    assert found[with_int8(2.0, ALL).first.name].here


def test_the_evidence_has_the_seconds_of_the_forms_for_a_cpu_on_this_host() -> None:
    said = json.loads(with_int8(2.0, ALL).latency())
    assert said["host"] == describe_host(os.environ).fingerprint
    assert said["latency_s"] == {"cpu-int8": FP32_S / 2, "cpu-fp32": FP32_S}
