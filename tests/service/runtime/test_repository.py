"""Models come up, are swapped and go, in all workers alike; what is accepted is answered, whatever the next version is like."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import shutil
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from host import full_disk, open_files
from joulebox.metrics import Metrics
from joulebox.package import Package, write_package
from joulebox.runtime.errors import BadRequest, NotFound, ServeError
from joulebox.runtime.fleet import Fleet, Wanted
from joulebox.runtime.model import Model, State
from joulebox.runtime.records import EXECUTIONS, ITEMS, MODELS_MAX
from joulebox.runtime.repository import Repository
from joulebox.runtime.settings import Settings

pytestmark = pytest.mark.usefixtures("_quick_plan", "_light_collection")


@pytest.fixture
def _quick_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The curve is measured in no time; how is told elsewhere."""
    monkeypatch.setattr("joulebox.runtime.plan.RUNS", 3)
    monkeypatch.setattr("joulebox.runtime.plan.CURVE_S", 0.0)


@pytest.fixture
def _light_collection() -> None:
    """The first full collection in a process is over all that pytest has imported; later ones are over what is new."""
    gc.freeze()


class Worker:
    """One worker of a server, in this process."""

    def __init__(self, folder: Path, settings: Settings, number: int = 1, workers: int = 1) -> None:
        folder.mkdir(exist_ok=True)
        self.registry = CollectorRegistry()
        self.repository = Repository(settings, Metrics(self.registry), Fleet(folder, number, workers))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.repository.run()) for worker in workers]
    try:
        await until(lambda: all(worker.repository.settled for worker in workers))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in workers:
            await worker.repository.drain()


async def until(holds: Callable[[], Any]) -> None:
    while not holds():  # noqa: ASYNC110  # what it waits for has no event
        await asyncio.sleep(0.005)


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.fixture
def build(tmp_path: Path, tiny: Any) -> Callable[..., Package]:
    """Makes a version of a package in the repository folder, and the current one."""

    def build(name: str = "tiny", number: int = 0, **files: bytes) -> Package:
        fields = tiny.fields(name=name, lineage={"inputs": "0" * 64, "made_of": {"number": number}})
        content = {**tiny.files(), **{{"onnx": "variants/cpu-fp32.onnx"}[key]: value for key, value in files.items()}}
        return write_package(tmp_path / "packages" / name, fields, content, {})

    return build


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(packages=(tmp_path / "packages/tiny",), repository=tmp_path / "packages")


@pytest.fixture
def worker(tmp_path: Path, settings: Settings, build: Any) -> Worker:
    build()
    return Worker(tmp_path / "run", settings)


@pytest.fixture
def workers(tmp_path: Path, settings: Settings, build: Any) -> tuple[Worker, Worker]:
    build()
    return Worker(tmp_path / "run", settings, 1, 2), Worker(tmp_path / "run", settings, 2, 2)


async def ask(worker: Worker, name: str = "tiny", value: float = 1.0) -> str:
    """One request, as the front makes it; gives the version that answered."""
    model = worker.repository.get(name)
    model.enter_request()
    try:
        inference = await model.infer({"image": np.full((1, 1, 4, 4), value, np.float32)})
    finally:
        model.leave_request()
    np.testing.assert_allclose(inference.outputs["logits"], value * np.array([[6, 5, 5]]), rtol=1e-5)
    return model.version


def own_threads() -> int:
    """Without those of the event loop's own pool, which has a limit and reaches it slowly."""
    return len([thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")])


def spoil(package: Package) -> None:
    (package.folder / "variants/cpu-fp32.onnx").write_bytes(b"spoilt")


def test_what_is_configured_comes_up_and_answers(worker: Worker) -> None:
    async def scenario() -> None:
        assert not worker.repository.ready
        async with running(worker):
            assert worker.repository.ready
            model = worker.repository.only()
            assert await ask(worker) == model.version
            assert worker.repository.get("tiny", model.version) is model
            with pytest.raises(NotFound, match=f"served is {model.version}"):
                worker.repository.get("tiny", "0" * 16)
            with pytest.raises(NotFound, match="'other' is not found; this server has tiny"):
                worker.repository.get("other")
            assert worker.repository.totals(model).fields[ITEMS] == 1
        assert not worker.repository.ready, "it has drained"

    play(scenario)


def test_a_version_is_swapped_under_load_without_a_failed_request(
    worker: Worker, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulebox.runtime.batcher.INLINE_S", 0.0)  # so that requests queue

    async def scenario() -> None:
        async with running(worker):
            served = [worker.repository.only().version]
            answered: list[str] = []
            stop = False

            async def insist(value: float) -> None:
                while not stop:
                    answered.append(await ask(worker, value=value))

            load = [asyncio.create_task(insist(float(value))) for value in range(12)]
            for number in (1, 2, 3):
                await asyncio.sleep(0.03)
                served.append(build(number=number).manifest.version)
                await worker.repository.load("tiny")
                assert worker.repository.only().version == served[-1]
            await asyncio.sleep(0.03)
            stop = True
            await asyncio.gather(*load)
            assert list(dict.fromkeys(answered)) == served
            await until(lambda: not worker.repository._drains)
            for version in served[:-1]:
                assert worker.value("joulebox_model_state", model="tiny", version=version, state="unloaded") == 1

    play(scenario)


def test_what_was_queued_on_the_old_version_is_answered_by_it(
    worker: Worker, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulebox.runtime.batcher.INLINE_S", 0.0)

    async def scenario() -> None:
        async with running(worker):
            old, gate = worker.repository.only(), threading.Event()
            run = old._batcher._run  # type: ignore[union-attr]
            monkeypatch.setattr(old._batcher, "_run", lambda inputs: gate.wait(10) and run(inputs))
            queued = [asyncio.create_task(ask(worker)) for _ in range(5)]
            await asyncio.sleep(0.01)
            build(number=1)
            await worker.repository.load("tiny")
            assert old.state is State.DRAINING
            assert await ask(worker) != old.version, "new ones go to the new version meanwhile"
            gate.set()
            assert await asyncio.gather(*queued) == [old.version] * 5
            await until(lambda: old.state is State.UNLOADED)

    play(scenario)


def test_an_engine_that_computes_for_nobody_keeps_its_record_until_it_ends(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulebox.runtime.batcher.INLINE_S", 0.0)

    async def scenario() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        async with running(worker):
            model, gate = worker.repository.only(), threading.Event()
            run = model._batcher._run  # type: ignore[union-attr]
            monkeypatch.setattr(model._batcher, "_run", lambda inputs: gate.wait(10) and run(inputs))
            gone = asyncio.create_task(ask(worker))
            await asyncio.sleep(0.01)
            gone.cancel()
            unload = asyncio.create_task(worker.repository.unload("tiny"))
            await asyncio.sleep(0.05)
            assert model.state is State.DRAINING
            assert model.observed.record.totals().fields[EXECUTIONS] == 0
            gate.set()
            await unload
            assert model.state is State.UNLOADED
        assert told == []

    play(scenario)


@pytest.mark.parametrize("how", ["corrupt", "golden", "changed"])
def test_a_bad_new_version_leaves_the_old_one_serving_and_says_why(
    worker: Worker, build: Any, tiny: Any, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    said, reason = {
        "corrupt": ("does not load", "no_variant"),
        "golden": ("golden sample 0", "no_variant"),
        "changed": ("truncated or changed", "package"),
    }[how]

    async def scenario() -> None:
        async with running(worker):
            old = worker.repository.only()
            match how:
                case "corrupt":
                    build(number=1, onnx=b"not a model")
                case "golden":
                    build(number=1, onnx=(tiny.HERE / "wrong.onnx").read_bytes())
                case _:
                    spoil(build(number=1))
            with caplog.at_level(logging.ERROR), pytest.raises(BadRequest, match=said):
                await worker.repository.load("tiny")
            assert await ask(worker) == old.version
            entries = {entry["state"]: entry for entry in await worker.repository.index()}
            assert entries["READY"]["version"] == old.version
            assert said in entries["UNAVAILABLE"]["reason"]
            assert f"tiny is not served: {entries['UNAVAILABLE']['reason']}" in caplog.text
            assert worker.value("joulebox_load_failures_total", model="tiny", reason=reason) == 1
            assert worker.repository.ready
            build("other")
            await worker.repository.load("other")
            assert worker.repository.ready, "nor does a later change of another model make it unready"
            good = build(number=2)
            await worker.repository.load("tiny")
            assert await ask(worker) == good.manifest.version
            assert all(entry["state"] == "READY" for entry in await worker.repository.index())

    play(scenario)


def test_a_package_that_vanished_or_has_another_name_is_reported_and_the_others_serve(
    worker: Worker, build: Any, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(worker):
            tiny, other = worker.repository.only().package.folder, build("other").folder
            wanted = {"tiny": str(tiny), "gone": str(tmp_path / "gone"), "named": str(other), "other": str(other)}
            worker.repository.fleet.want(Wanted(7, wanted))
            await until(lambda: worker.repository.fleet.reports()[0].generation == 7)
            (report,) = worker.repository.fleet.reports()
            assert report.failures.keys() == {"gone", "named"}
            assert "no model package" in report.failures["gone"]
            assert "is not 'named'" in report.failures["named"]
            assert not worker.repository.ready
            assert await ask(worker, "other")
            with pytest.raises(NotFound, match="no model package"):
                worker.repository.get("gone")
            await worker.repository.unload("gone")
            await worker.repository.unload("named")
            assert worker.repository.ready

    play(scenario)


def test_an_unknown_name_is_neither_loaded_nor_unloaded(worker: Worker) -> None:
    async def scenario() -> None:
        async with running(worker):
            for name in ("other", "../packages/tiny", str(worker.repository.only().package.folder), ""):
                with pytest.raises(NotFound, match="no package of that name"):
                    await worker.repository.load(name)
                with pytest.raises(NotFound, match="it is not served"):
                    await worker.repository.unload(name)
            assert await ask(worker)

    play(scenario)


def test_unloading_waits_for_what_was_accepted(worker: Worker) -> None:
    async def scenario() -> None:
        async with running(worker):
            model = worker.repository.only()
            model.enter_request()
            unload = asyncio.create_task(worker.repository.unload("tiny"))
            await until(lambda: model.state is State.DRAINING)
            with pytest.raises(NotFound):
                worker.repository.get("tiny")
            await asyncio.sleep(0.05)
            assert not unload.done()
            model.leave_request()
            await unload
            assert model.state is State.UNLOADED
            assert worker.value("joulebox_queue_depth", model="tiny") == 0
            (entry,) = await worker.repository.index()
            assert (entry["state"], entry["reason"]) == ("UNAVAILABLE", "unloaded")
            await worker.repository.load("tiny")
            assert await ask(worker) == model.version

    play(scenario)


def test_a_load_and_an_unload_reach_every_worker_before_they_are_answered(
    workers: tuple[Worker, Worker], build: Any
) -> None:
    async def scenario() -> None:
        one, two = workers
        async with running(*workers):
            assert one.repository.ready
            new = build(number=1).manifest.version
            await two.repository.load("tiny")
            assert await ask(one) == await ask(two) == new
            model = one.repository.only()
            assert one.repository.totals(model).fields[ITEMS] == 2
            await one.repository.unload("tiny")
            assert not two.repository.models
            assert two.repository.ready

    play(scenario)


def test_a_worker_that_cannot_follow_is_named_goes_on_serving_and_may_try_again(
    workers: tuple[Worker, Worker], build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        one, two = workers
        async with running(*workers):
            old, new = two.repository.only(), build(number=1)
            load = Model.load

            def starve(model: Model) -> None:
                if model._records is two.repository.records:
                    raise MemoryError("no memory for it")
                load(model)

            with monkeypatch.context() as patched:
                patched.setattr(Model, "load", starve)
                with pytest.raises(ServeError, match="not served by all workers: worker 2: no memory for it"):
                    await one.repository.load("tiny")
            assert await ask(two) == old.version
            assert one.repository.ready, "each worker takes traffic"
            await one.repository.load("tiny")
            assert await ask(one) == await ask(two) == new.manifest.version

    play(scenario)


def test_a_dead_worker_is_not_waited_for(workers: tuple[Worker, Worker], build: Any) -> None:
    async def scenario() -> None:
        one, two = workers
        async with running(one):
            two.repository.fleet.report(1, ready=True, failures={})
            path = two.repository.fleet.folder / "report-2.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 2**22 + 1}))
            build(number=1)
            await one.repository.load("tiny")
            assert not one.repository.ready, "until it is replaced"
            async with running(two):
                assert await ask(two) == await ask(one)
                assert one.repository.ready

    play(scenario)


def test_while_the_disk_is_full_nothing_changes_and_afterwards_all_is_as_wanted(
    worker: Worker, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("joulebox.runtime.repository.RETRY_S", 0.02)
        async with running(worker):
            repository, old = worker.repository, worker.repository.only()
            new = build(number=1)
            free = len(repository.records._free)
            with full_disk():
                with pytest.raises(ServeError, match="could not be written"):
                    await repository.load("tiny")
                with pytest.raises(ServeError, match="nothing was changed"):
                    await repository.unload("tiny")
            assert await ask(worker) == old.version
            assert repository.ready
            assert len(repository.records._free) == free
            version = new.manifest.version
            assert worker.value("joulebox_model_state", model="tiny", version=version, state="ready") == 0
            repository.fleet.want(Wanted(9, {"tiny": str(new.folder)}))
            with full_disk():
                await until(lambda: repository.only().version == version)
                await asyncio.sleep(0.05)
            await until(lambda: repository.fleet.reports()[0].generation == 9)

    play(scenario)


def test_a_client_that_goes_during_a_load_leaves_a_whole_change(worker: Worker, build: Any) -> None:
    async def scenario() -> None:
        async with running(worker):
            repository, new = worker.repository, build(number=1)
            load = asyncio.create_task(repository.load("tiny"))
            await asyncio.sleep(0.01)
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load
            await until(lambda: repository.only().version == new.manifest.version)
            await until(lambda: not repository._changes and not repository._drains)
            assert len(repository.records._free) == MODELS_MAX - 1
            spoil(build(number=2))
            load = asyncio.create_task(repository.load("tiny"))
            await asyncio.sleep(0)
            load.cancel()
            await until(lambda: not repository._changes)
            assert await ask(worker) == new.manifest.version

    play(scenario)


def test_swapping_fifty_times_leaves_nothing_behind(worker: Worker, build: Any) -> None:
    async def scenario() -> None:
        async with running(worker):
            repository = worker.repository
            versions = [build(number=number) for number in (1, 2)]
            current = versions[0].folder.parent / "current"
            models: list[weakref.ref[Model]] = []
            counted: list[tuple[int, int, int]] = []
            for number in range(50):
                current.unlink()
                current.symlink_to(versions[number % 2].folder.name)
                await repository.load("tiny")
                await ask(worker)
                models.append(weakref.ref(repository.only()))
                await until(lambda: not repository._drains)
                if number >= 10:
                    counted.append((own_threads(), open_files(), len(repository.records._free)))
            threads, files, records = zip(*counted, strict=True)
            assert max(threads[-20:]) <= max(threads[:20])
            assert max(files[-20:]) <= max(files[:20])
            assert set(records) == {MODELS_MAX - 1}
            assert [model() for model in models[:-1]] == [None] * 49
            shown = worker.repository.metrics.render()
            assert shown.count(b"joulebox_inferences_total{") <= 3

    play(scenario)


def test_a_repository_is_drained_whole(worker: Worker, build: Any) -> None:
    async def scenario() -> None:
        build("other")
        async with running(worker):
            await worker.repository.load("other")
            models = list(worker.repository.models.values())
            for model in models:
                model.enter_request()
            drain = asyncio.create_task(worker.repository.drain())
            await asyncio.sleep(0.02)
            assert not drain.done()
            for model in models:
                model.leave_request()
            await drain
            assert [model.state for model in models] == [State.UNLOADED] * 2
            assert len(worker.repository.records._free) == MODELS_MAX

    play(scenario)


def test_several_packages_are_told_apart(worker: Worker, build: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        build("other")
        shutil.copytree(tmp_path / "packages/other", tmp_path / "packages/copy", symlinks=True)
        async with running(worker):
            index = [(entry["name"], entry["state"]) for entry in await worker.repository.index()]
            assert index == [("other", "UNAVAILABLE"), ("tiny", "READY")]
            await worker.repository.load("other")
            with pytest.raises(NotFound, match="2 models"):
                worker.repository.only()
            assert await ask(worker, "other") != await ask(worker)

    play(scenario)
