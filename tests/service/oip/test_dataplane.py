"""The protocol's operations on real models, without a protocol around them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from joulebox.energy import Sources
from joulebox.metrics import Metrics
from joulebox.oip.call import Call, Output, output_spec
from joulebox.oip.dataplane import Dataplane
from joulebox.package import write_package
from joulebox.runtime.errors import BadRequest, Expired, NotFound
from joulebox.runtime.fleet import Fleet
from joulebox.runtime.keeper import Keeper
from joulebox.runtime.regions import Regions
from joulebox.runtime.repository import Repository
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import Settings

IMAGES = {"image": np.stack([np.full((1, 4, 4), 1.0, np.float32), np.full((1, 4, 4), -1.0, np.float32)])}


@asynccontextmanager
async def serving(tmp_path: Path, *packages: Path, **settings: Any) -> AsyncIterator[Dataplane]:
    metrics = Metrics(CollectorRegistry())
    (tmp_path / "run").mkdir()
    repository = Repository(Settings(packages=packages, **settings), metrics, Fleet(tmp_path / "run", 1, 1))
    sampler = Sampler(lambda _cpu_s: Sources((), ()), repository, metrics, Keeper(Settings(), repository, metrics))
    task = asyncio.create_task(repository.run())
    while not repository.settled:  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0.005)
    yield Dataplane(repository, sampler, Regions(False, tmp_path / "run"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await repository.drain()


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


def call(model: Any, inputs: dict[str, np.ndarray], *, classes: int = 0, timeout_s: float | None = None) -> Call:
    manifest = model.package.manifest
    outputs = tuple(Output(output_spec(model.name, manifest, spec.name), classes=classes) for spec in manifest.outputs)
    return Call("7", inputs, outputs, timeout_s)


@pytest.fixture
def package(tmp_path: Path, tiny: Any) -> Path:
    write_package(tmp_path / "tiny", tiny.fields(), tiny.files(), {})
    return tmp_path / "tiny"


def test_a_call_is_answered_with_the_outputs_that_it_asked_for(tmp_path: Path, package: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, package) as dataplane:
            model = dataplane.repository.only()
            answer = await dataplane.infer(model, call(model, IMAGES))
            ((output, datatype, array),) = answer.tensors
            assert (output.spec.name, datatype) == ("logits", "FP32")
            np.testing.assert_allclose(array, [[6, 5, 5], [-6, -5, -5]])
            assert answer.inference.items == 2
            assert answer.energy.joules is None, "unknown is never 0"
            answer = await dataplane.infer(model, call(model, IMAGES, classes=1))
            assert answer.tensors[0][1] == "BYTES"
            assert answer.tensors[0][2].tolist() == [["6.000000:0:red"], ["-5.000000:1:green"]]

    play(scenario)


def test_what_takes_longer_than_it_may_is_refused(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulebox.runtime.batcher.INLINE_S", 0.0)

    async def scenario() -> None:
        async with serving(tmp_path, package) as dataplane:
            model = dataplane.repository.only()
            assert dataplane.infer_now(model, call(model, IMAGES)) is None
            assert dataplane.infer_now(model, call(model, IMAGES), alone=True) is not None
            assert dataplane.infer_now(model, call(model, IMAGES, timeout_s=1.0), alone=True) is None, "it may expire"
            run = model._batcher._run  # type: ignore[union-attr]
            monkeypatch.setattr(model._batcher, "_run", lambda inputs: time.sleep(0.2) or run(inputs))
            with pytest.raises(Expired, match="Request timeout expired"):
                await dataplane.infer(model, call(model, IMAGES, timeout_s=0.02))

    play(scenario)


def test_statistics_say_what_was_done(tmp_path: Path, package: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, package) as dataplane:
            model = dataplane.repository.only()
            for _ in range(3):
                await dataplane.infer(model, call(model, IMAGES))
            (found,) = dataplane.statistics("tiny")["model_stats"]
            assert (found["inference_count"], found["execution_count"]) == (6, 3)
            assert found["inference_stats"]["compute_infer"]["count"] == 3
            (batch,) = found["batch_stats"]
            assert (batch["batch_size"], batch["compute_infer"]["count"]) == (2, 3)
            assert abs(found["last_inference"] / 1e3 - time.time()) < 30
            assert dataplane.statistics() == dataplane.statistics("tiny", model.version)
            with pytest.raises(NotFound):
                dataplane.statistics("other")

    play(scenario)


def test_metadata_and_configuration_say_what_the_model_takes(tmp_path: Path, package: Path, tiny: Any) -> None:
    tiny.state_package(tmp_path / "state")

    async def scenario() -> None:
        async with serving(tmp_path, package, tmp_path / "state", batch_max=4, batch_delay_ms=2.0) as dataplane:
            assert dataplane.ready
            assert dataplane.model_ready("tiny")
            metadata = dataplane.model_metadata("tiny")
            assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 4, 4]}]
            assert metadata["parameters"]["batch_max"] == 4
            config = dataplane.model_config("tiny")
            assert config["max_batch_size"] == 4
            assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [1, 4, 4]}]
            assert config["dynamic_batching"] == {"max_queue_delay_microseconds": 2000}
            config = dataplane.model_config("state")
            assert (config["max_batch_size"], config["input"][2]["dims"]) == (0, [])
            assert "dynamic_batching" not in config

    play(scenario)


def test_models_come_and_go_by_name(tmp_path: Path, package: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, package) as dataplane:
            with pytest.raises(BadRequest, match="takes none"):
                await dataplane.load("tiny", {"config": "{}"})
            await dataplane.unload("tiny")
            assert await dataplane.index(ready=True) == []
            with pytest.raises(NotFound):
                dataplane.model_ready("tiny")
            await dataplane.load("tiny", {})
            assert [entry["state"] for entry in await dataplane.index(ready=True)] == ["READY"]

    play(scenario)


def test_requests_of_any_length_are_computed_and_long_ones_not_on_the_event_loop(tmp_path: Path, tiny: Any) -> None:
    tiny.state_package(tmp_path / "state")

    def inputs(samples: int) -> dict[str, np.ndarray]:
        state = np.zeros((2, 1, 4), np.float32)
        return {"input": np.ones((1, samples), np.float32), "state": state, "sr": np.array(16000)}

    async def scenario() -> None:
        async with serving(tmp_path, tmp_path / "state") as dataplane:
            model = dataplane.repository.only()
            assert dataplane.infer_now(model, call(model, inputs(6))) is not None
            long = call(model, inputs(1_000_000))
            assert dataplane.infer_now(model, long) is None
            answer = await dataplane.infer(model, long)
            assert answer.tensors[0][2].shape == (1, 1)

    play(scenario)
