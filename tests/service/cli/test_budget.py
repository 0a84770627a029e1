"""An energy budget, as an operator meets it: real servers on a counter that a thread drives."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from joulebox.package import Package
from servers import Server, running, wait_until

IDLE_WATTS, BUSY_WATTS = 20.0, 60.0
BATCH_JOULES, ITEM_JOULES = 0.05, 0.002
SERIES = "joulebox_energy_budget_exceeded_total{"


class Rapl:
    """A package's counter below a folder that stands for /sys: what the host uses at rest, and what else it is told."""

    def __init__(self, folder: Path) -> None:
        self.sysfs = folder / "sys"
        self.watts = 0.0
        self.joules = 0.0
        self._zone = self.sysfs / "class/powercap/intel-rapl:0"
        self._zone.mkdir(parents=True)
        for file, content in (("name", "package-0"), ("energy_uj", "0"), ("max_energy_range_uj", "262143328850")):
            (self._zone / file).write_text(content)
        self._ended = threading.Event()

    @contextmanager
    def counting(self) -> Iterator[None]:
        thread = threading.Thread(target=self._count)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _count(self) -> None:
        used_joules, last_s = 0.0, time.monotonic()
        while not self._ended.wait(0.01):
            now_s = time.monotonic()
            used_joules += (IDLE_WATTS + self.watts) * (now_s - last_s)
            last_s = now_s
            (self.sysfs / "next").write_text(str(int(1e6 * (used_joules + self.joules))))
            (self.sysfs / "next").rename(self._zone / "energy_uj")  # a reader of sysfs never sees half a number


@contextmanager
def measured(package: Package, folder: Path, *options: object, **environment: str) -> Iterator[tuple[Server, Rapl]]:
    """A server that has learnt what the host uses at rest."""
    rapl = Rapl(folder)
    whole = {**os.environ, "JOULEBOX_SYSFS": str(rapl.sysfs), **environment}
    with rapl.counting(), running(package.folder, *options, environment=whole) as server:
        wait_until(lambda: any(device["idle_watts"] for device in energy(server)["devices"]))
        yield server, rapl


def energy(server: Server) -> dict[str, Any]:
    return httpx.get(f"{server.address}/energy").raise_for_status().json()


def exceeded(server: Server) -> list[str]:
    return [line for line in httpx.get(f"{server.address}/metrics").text.splitlines() if line.startswith(SERIES)]


def test_a_model_over_its_budget_is_counted_said_once_and_shown_by_every_worker(
    package: Package, tmp_path: Path, cli: Any
) -> None:
    budgets = {"JOULEBOX_ENERGY_BUDGETS": "tiny=1uJ/5s,other=1W", "JOULEBOX_ENERGY_SAVING_MS": "5"}
    options = ["--workers", 2, "--batch-max", 8]
    with measured(package, tmp_path, *options, **budgets) as (server, rapl):
        assert exceeded(server) == [f'{SERIES}model="tiny"}} 0.0']
        rapl.watts = BUSY_WATTS

        def counted() -> bool:
            cli.infer(server, 20)
            return float(exceeded(server)[0].split()[1]) >= 2

        wait_until(counted)
        for _ in range(10):  # a connection each, so that both workers get some
            cli.infer(server, 20)
            other, tiny = energy(server)["budgets"]
            assert (tiny["model"], tiny["unit"], tiny["limit"]) == ("tiny", "joules_per_inference", 1e-6)
            assert (tiny["window_seconds"], tiny["source"], tiny["over"]) == (5.0, "measured", True)
            assert tiny["figure"] > 1e-6
            assert tiny["since"] is not None
            assert (other["model"], other["figure"], other["over"]) == ("other", None, None)
        said = server.said()
        assert said.count("tiny is over its energy budget of 1 uJ per inference over 5 s: ") == 1
        assert "per inference (measured)" in said
        assert said.count("JOULEBOX_ENERGY_BUDGETS names 'other', which is not served (served: tiny)") == 1
        assert server.stop() == 0
        assert "ERROR" not in server.said()


@pytest.mark.slow
def test_batches_wait_longer_in_every_worker_once_that_is_measured_to_save(
    package: Package, tmp_path: Path, cli: Any
) -> None:
    """What a batch costs depends on how many there are, and hardly on how full they are, as on a GPU."""

    async def load(server: Server, rapl: Rapl) -> dict[str, Any]:
        until = asyncio.Event()
        clients = [asyncio.create_task(cli.ask(server.port, cli.Tally(), until, pause_s=0.1)) for _ in range(20)]
        while (state := await asyncio.to_thread(spend, server, rapl))["savings"][0]["phase"] != "on":
            assert not any(client.done() for client in clients)
            assert state["savings"][0]["phase"] != "not_helping", state["savings"]
            await asyncio.sleep(0.05)
        before = await asyncio.to_thread(batches, server)
        await asyncio.sleep(5)
        after = await asyncio.to_thread(batches, server)
        until.set()
        await asyncio.gather(*clients)
        assert (after[1] - before[1]) / (after[0] - before[0]) > 2, "items in a batch"
        return state

    def spend(server: Server, rapl: Rapl) -> dict[str, Any]:
        count, items = batches(server)
        rapl.joules = BATCH_JOULES * count + ITEM_JOULES * items
        return energy(server)

    saving = {"JOULEBOX_ENERGY_BUDGETS": "tiny=30mJ/10s", "JOULEBOX_ENERGY_SAVING_MS": "50"}
    with measured(package, tmp_path, "--workers", 2, "--batch-max", 8, **saving) as (server, rapl):
        (found,) = asyncio.run(asyncio.wait_for(load(server, rapl), 400))["savings"]
        assert found["gain_ci95"][0] > 0.2
        assert found["delay_ms"] == 50.0
        assert server.said().count("tiny: batches wait up to 50 ms for 60 min: waiting saved") == 1
        assert server.stop() == 0
        assert "ERROR" not in server.said()


def batches(server: Server) -> tuple[float, float]:
    """How many were computed, and their items."""
    lines = httpx.get(f"{server.address}/metrics").text.splitlines()
    count, items = (
        sum(float(line.split()[1]) for line in lines if line.startswith(f"joulebox_batch_size_{part}{{"))
        for part in ("count", "sum")
    )
    return count, items


def test_without_a_budget_there_is_no_series(server: str) -> None:
    assert SERIES not in httpx.get(f"{server}/metrics").text
    state = httpx.get(f"{server}/energy").json()
    assert (state["budgets"], state["savings"]) == ([], [])
