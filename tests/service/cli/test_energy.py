"""A server of two models on a host whose energy counter is known: what it says agrees with the truth.

What an inference has really cost follows from the times on the answers and the watts of `rapl.py`.
"""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rapl import IDLE_WATTS, RUN, TICK_S, WATTS, package
from servers import Server, running, wait_until

BURSTS = {"big": (0.4, 0.5), "small": (0.3, 0.6)}  # mean seconds of work and of pause
LEARN_S, MEASURE_S = 18.0, 20.0
STALE_S = 0.8  # at most, what `/energy` says is old: a tick, the sampler's turn, another worker's turn
IMAGE = [{"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": [1.0] * 16}]
ENERGY = "joulebox_inference_energy_joules_total"


class Client:
    """Asks one model in bursts, and adds up what its answers say."""

    def __init__(self, server: Server, model: str) -> None:
        self.model = model
        self.count, self.compute_s = 0, 0.0
        self._server = server
        self._random = random.Random(model)

    def run(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        burst_s, pause_s = BURSTS[self.model]
        while time.monotonic() < end_s:
            with httpx.Client(base_url=self._server.address, timeout=10) as client:  # any worker's
                until_s = min(end_s, time.monotonic() + self._random.expovariate(1 / burst_s))
                while time.monotonic() < until_s:
                    try:
                        answer = client.post(f"/v2/models/{self.model}/infer", json={"inputs": IMAGE})
                    except httpx.TransportError:
                        break  # its worker was killed
                    answer.raise_for_status()
                    self.count += 1
                    self.compute_s += compute_s(answer)
            time.sleep(self._random.expovariate(1 / pause_s))


def compute_s(answer: httpx.Response) -> float:
    """Seconds in the engine, by the answer's `Server-Timing`."""
    timings = dict(part.strip().split(";dur=") for part in answer.headers["server-timing"].split(","))
    return float(timings["compute"]) / 1e3


def load(server: Server, seconds: float, *, dies: bool = False) -> list[Client]:
    """Two clients for so long, and a second for all to be settled. In the middle, the worker that measures may be killed."""
    clients = [Client(server, name) for name in WATTS]
    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(client.run, seconds) for client in clients]
        if dies:
            time.sleep(seconds / 2)
            kill_leader(server)
        for each in asking:
            each.result()
    time.sleep(1.0)
    return clients


class Said:
    """What a server says, and what its counter does."""

    def __init__(self, server: Server, counter: Path) -> None:
        self.counted = int(counter.read_text()) / 1e6
        state = httpx.get(f"{server.address}/energy", headers={"connection": "close"}).json()  # any worker's
        (self.device,) = state["devices"]
        self.models = {row["model"]: row for row in state["models"]}
        dynamic = sum(row["dynamic_joules"] for row in state["models"])
        self.booked = (self.device["idle_joules"] or 0.0) + self.device["unattributed_joules"] + dynamic
        families = text_string_to_metric_families(httpx.get(f"{server.address}/metrics").text)
        samples = [sample for family in families for sample in family.samples if sample.name == ENERGY]
        self.exported = {each.labels["model"]: each.value for each in samples if each.labels["part"] == "dynamic"}


def kill_leader(server: Server) -> None:
    """The worker that holds the lock on the counters."""
    lock = (server.environment("JOULEBOX_RUN_FOLDER") / "leader.lock").stat().st_ino
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line]
    holders = {int(fields[4]) for fields in locks if fields[5].endswith(f":{lock}")}
    (leader,) = {worker.pid for worker in server.workers().values()} & holders
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: leader not in {worker.pid for worker in server.workers().values()})
    wait_until(server.is_ready)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_it_says_agrees_with_the_truth_also_after_the_death_of_who_measures(
    tmp_path: Path, tiny: Any, workers: int
) -> None:
    packages = [tiny.slow_package(tmp_path / name, name).folder for name in WATTS]
    environment = {**os.environ, "JOULEBOX_SYSFS": str(tmp_path / "sys"), "JOULEBOX_ENERGY_OFF": "nvml,pi"}
    serving = running(*packages, "--workers", workers, environment=environment)
    with package(tmp_path / "sys") as counter, serving as server:
        (tmp_path / "sys" / RUN).symlink_to(server.environment("JOULEBOX_RUN_FOLDER"))
        wait_until(lambda: Said(server, counter).device["idle_watts"])
        load(server, LEARN_S)
        for dies in (False, True):
            before = Said(server, counter)
            clients = load(server, MEASURE_S, dies=dies)
            check(before, Said(server, counter), clients, lost=0.15 if dies else 0.05)


def check(before: Said, after: Said, clients: list[Client], *, lost: float) -> None:
    """Against the truth; up to so much of the energy and of the work is nobody's."""
    old, device = before.device, after.device
    used = after.counted - before.counted
    assert device["joules_total"] - old["joules_total"] == pytest.approx(used, abs=STALE_S * IDLE_WATTS)
    assert after.booked == pytest.approx(device["joules_total"], rel=1e-9)
    assert (device["tick_seconds"], device["gaps"]) == (pytest.approx(TICK_S, rel=0.1), 0)
    assert device["idle_watts"] == pytest.approx(IDLE_WATTS, rel=0.02)
    assert device["unattributed_joules"] - old["unattributed_joules"] < lost * used
    for client in clients:
        was, now = before.models[client.model], after.models[client.model]
        count = now["inferences"] - was["inferences"]
        joules = now["dynamic_joules"] - was["dynamic_joules"]
        truth = WATTS[client.model] * client.compute_s / client.count
        print(f"{client.model}: {joules / count:.4f} J, in truth {truth:.4f}: {joules / count / truth - 1:+.2%}")
        assert client.count * (1 - lost) <= count <= client.count
        assert joules / count == pytest.approx(truth, rel=0.08), "so short, on a host that does other work"
        exported = after.exported[client.model] - before.exported[client.model]
        assert joules * (1 - lost) <= exported <= joules * (1 + 1e-9)
