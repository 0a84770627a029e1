"""A server of two models on a host whose energy counter is known: what it says agrees with the truth.

The host's RAPL counter is a file that a thread moves: 20 W at rest, and so many more while each model computes, which it sees
in the workers' records, as hardware would feel it. What an inference has really cost follows from the times on the answers.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from joulebox.runtime.shared_work import SharedWork
from servers import Server, running, wait_until

IDLE_WATTS, WATTS = 20.0, {"big": 60.0, "small": 25.0}
BURSTS = {"big": (0.4, 0.5), "small": (0.3, 0.6)}  # mean seconds of work and of pause
TICK_S, STEP_S = 0.1, 0.004
SECONDS = float(os.environ.get("S", "60"))
IMAGE = [{"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": [1.0] * 16}]


class Rapl:
    """A CPU package, as /sys shows it."""

    def __init__(self, sysfs: Path) -> None:
        zone = sysfs / "class/powercap/intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
        self._file = zone / "energy_uj"
        self._joules = self._shown = 10.0
        self._work: SharedWork | None = None
        self._show()

    @property
    def joules(self) -> float:
        """As far as it is shown."""
        return self._shown

    def carry(self, server: Server) -> None:
        """From now on it uses energy while the server's models compute."""
        self._work = SharedWork(server.environment("JOULEBOX_RUN_FOLDER"))

    def run(self, until: threading.Event) -> None:
        begun_s = at_s = time.perf_counter()
        busy_s: dict[str, float] = {}
        ticks = 0
        while not until.wait(STEP_S):
            before_s, at_s = at_s, time.perf_counter()
            self._joules += IDLE_WATTS * (at_s - before_s)
            for (name, _), done in self._work.read(at_s).items() if self._work else ():
                self._joules += WATTS[name] * max(0.0, done.busy_s - busy_s.get(name, done.busy_s))
                busy_s[name] = done.busy_s
            if at_s >= begun_s + (ticks + 1) * TICK_S:
                ticks = int((at_s - begun_s) / TICK_S)
                self._show()

    def _show(self) -> None:
        self._shown = self._joules
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{round(self._joules * 1e6)}\n")
        aside.replace(self._file)


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


@contextmanager
def moving(sysfs: Path) -> Iterator[Rapl]:
    rapl, ended = Rapl(sysfs), threading.Event()
    thread = threading.Thread(target=rapl.run, args=(ended,))
    thread.start()
    try:
        yield rapl
    finally:
        ended.set()
        thread.join()


def state(server: Server) -> dict[str, Any]:
    return httpx.get(f"{server.address}/energy", headers={"connection": "close"}).json()


def metrics(server: Server) -> dict[tuple[str, str, str], float]:
    """By name, model and part."""
    families = text_string_to_metric_families(httpx.get(f"{server.address}/metrics").text)
    return {
        (sample.name, sample.labels.get("model", ""), sample.labels.get("part", "")): sample.value
        for family in families
        for sample in family.samples
        if "energy" in sample.name and sample.name.endswith("_total") and "unattributed" not in sample.name
    }


def kill_leader(server: Server) -> None:
    """The worker that holds the lock on the counters."""
    lock = (server.environment("JOULEBOX_RUN_FOLDER") / "leader.lock").stat()
    holders = [
        int(line.split()[4])
        for line in Path("/proc/locks").read_text().splitlines()
        if line.split()[5].endswith(f":{lock.st_ino}") and "->" not in line
    ]
    (leader,) = {worker.pid for worker in server.workers().values()} & set(holders)
    os.kill(leader, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "deaths"), [(1, 0), (2, 0), (2, 2), (1, 1)])
def test_what_it_says_agrees_with_the_truth(tmp_path: Path, tiny: Any, workers: int, deaths: int) -> None:
    packages = [tiny.slow_package(tmp_path / name, name).folder for name in WATTS]
    environment = {**os.environ, "JOULEBOX_SYSFS": str(tmp_path / "sys"), "JOULEBOX_ENERGY_OFF": "nvml,pi"}
    serving = running(*packages, "--workers", workers, environment=environment)
    with moving(tmp_path / "sys") as rapl, serving as server:
        rapl.carry(server)
        wait_until(lambda: any(device["idle_watts"] for device in state(server)["devices"]))
        begin, begin_joules = state(server), rapl.joules
        clients = [Client(server, name) for name in WATTS]
        with ThreadPoolExecutor() as pool:
            running_clients = [pool.submit(client.run, SECONDS) for client in clients]
            for _ in range(deaths):
                time.sleep(SECONDS / (deaths + 1))
                kill_leader(server)
                wait_until(server.is_ready)
            for each in running_clients:
                each.result()
        time.sleep(1.0)  # until it is settled
        end, end_joules, exported = state(server), rapl.joules, metrics(server)
    (device,) = end["devices"]
    used = device["joules_total"] - begin["devices"][0]["joules_total"]
    assert used == pytest.approx(end_joules - begin_joules, abs=2 * TICK_S * (IDLE_WATTS + sum(WATTS.values())))
    booked = device["idle_joules"] + device["unattributed_joules"] + sum(row["dynamic_joules"] for row in end["models"])
    assert booked == pytest.approx(device["joules_total"], rel=1e-9)
    assert (device["tick_seconds"], device["gaps"]) == (pytest.approx(TICK_S, rel=0.2), 0)
    assert device["idle_watts"] == pytest.approx(IDLE_WATTS, rel=0.02)
    assert device["unattributed_share"] < 0.1
    print({key: device[key] for key in ("idle_watts", "unattributed", "nonlinear")}, used, end_joules - begin_joules)
    for client in clients:
        (row,) = [row for row in end["models"] if row["model"] == client.model]
        truth = WATTS[client.model] * client.compute_s / client.count
        error = row["joules_per_inference"] / truth - 1
        print(client.model, f"{error:+.2%}", row["inferences"], client.count, row["ci95"], truth)
        assert abs(error) < 0.03
        assert exported["joulebox_inference_energy_joules_total", client.model, "dynamic"] == pytest.approx(
            row["dynamic_joules"], rel=1e-6
        )
