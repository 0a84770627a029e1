"""What is measured of a variant is what it does with real samples, once it has reproduced the goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.engine import EngineError, Rung
from joulebox.package import Package
from joulebox.runtime.candidate import BATCHES_MAX, Candidate, open_candidates


class Recorder:
    """An engine that keeps what it is asked."""

    name, device = "recorder", "cpu"

    def __init__(self, candidate: Candidate) -> None:
        self.seen: list[Any] = []
        self._engine = candidate.engine

    def run(self, inputs: Any) -> Any:
        self.seen.append(inputs)
        return self._engine.run(inputs)


def own(package: Package) -> list[Rung]:
    """On the engines that the variants were made for."""
    return [Rung(variant, variant.engine) for variant in package.manifest.variants]


def recorded(package: Package) -> tuple[Candidate, Recorder]:
    (candidate,) = [each for each in open_candidates(package, own(package)) if isinstance(each, Candidate)]
    recorder = Recorder(candidate)
    return Candidate(package, candidate.rung, recorder, candidate.inputs, candidate.expected), recorder


@settings(max_examples=30)
@given(items=st.integers(1, 40), runs=st.integers(1, 12))
def test_batches_have_their_size_and_go_through_the_samples(
    tmp_path_factory: Any, tiny: Any, items: int, runs: int
) -> None:
    package = tiny.write_package(tmp_path_factory.mktemp("package"), tiny.fields(), tiny.files(), {})
    candidate, recorder = recorded(package)
    runner = candidate.runner(items)
    recorder.seen.clear()
    for _ in range(runs):
        runner()
    assert [len(inputs["image"]) for inputs in recorder.seen] == [items] * runs
    distinct = {array.tobytes() for inputs in recorder.seen for array in inputs["image"]}
    assert len(distinct) >= min(tiny.SAMPLES, items)
    assert len({inputs["image"].tobytes() for inputs in recorder.seen}) <= BATCHES_MAX


def test_samples_of_a_model_without_batches_come_one_by_one(tiny: Any, tmp_path: Path) -> None:
    candidate, recorder = recorded(tiny.state_package(tmp_path))
    runner = candidate.runner(1)
    for _ in range(4):
        runner()
    assert [int(inputs["sr"]) for inputs in recorder.seen] == [16000, 8000, 16000, 8000]
    with pytest.raises(EngineError, match="takes no batches"):
        candidate.runner(2)


def test_a_variant_that_does_not_reproduce_the_goldens_is_none(tiny: Any, tmp_path: Path) -> None:
    files = {**tiny.files(), "golden.npz": tiny.golden(np.zeros((tiny.SAMPLES, 3), np.float32))}
    package = tiny.write_package(tmp_path, tiny.fields(), files, {})
    ((rung, why),) = open_candidates(package, own(package))
    assert rung.name == "cpu-fp32"
    assert "golden sample 0" in why
