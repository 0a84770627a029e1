"""One worker of the server, with the protocol on the socket that `joulebox serve` has, and a look into its process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from servers import wait_until

SUMS = [45.0, 35.0, 40.0]  # of the tiny model, for the image 0, 1, … 15
IMAGE = np.arange(16, dtype=np.float32)
OURS = ("joulebox.server.worker",)


@dataclass
class Worker:
    """A worker that runs."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> int:
        return self.process.num_fds()

    @property
    def resident_bytes(self) -> int:
        return self.process.memory_info().rss

    def connect(self, timeout_s: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of one request on its own connection; faster to make than an httpx client."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        families = text_string_to_metric_families(self.ask("GET", "/metrics")[2].decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def answers(self) -> bool:
        """Whether it infers."""
        body: dict[str, Any] = {"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": IMAGE.tolist()}
        status, _, content = self.ask("POST", "/v2/models/tiny/infer", json.dumps({"inputs": [body]}))
        return status == 200 and json.loads(content)["outputs"][0]["data"] == SUMS


@contextmanager
def working(*packages: Path, module: Sequence[str] = OURS, **settings: object) -> Iterator[Worker]:
    """A worker, run by `module`, ready; `settings` are those of `runtime/settings.py`. SIGTERM has to end it cleanly."""
    with TemporaryDirectory() as home, socket.socket() as listener:
        metrics, run = Path(home, "metrics"), Path(home, "run")
        metrics.mkdir()
        run.mkdir()
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        environment = {
            **os.environ,
            "BENTOML_HOME": home,
            "BENTOML_DO_NOT_TRACK": "True",
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "JOULEBOX_RUN_FOLDER": str(run),
            "JOULEBOX_PACKAGES": os.pathsep.join(map(str, packages)),
            **{f"JOULEBOX_{name.upper()}": str(value) for name, value in settings.items()},
        }
        descriptor = str(listener.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", *module, "--fd", descriptor, "--worker-id", "1"],
            env=environment,
            cwd=home,
            pass_fds=[listener.fileno()],
        )
        worker = Worker(listener.getsockname()[1], psutil.Process(process.pid))
        try:
            wait_until(lambda: httpx.get(f"{worker.url}/v2/health/ready").status_code == 200)
            yield worker
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in {0, -signal.SIGTERM}


@pytest.fixture(scope="session")
def work() -> Any:
    """`working`, for tests that need settings of their own."""
    return working


@pytest.fixture
def goes_on(worker: Any) -> Iterator[None]:
    """After the test the server answers, nothing is in flight, and no connection of the test's is left open on its side."""
    before = worker.files
    yield
    assert worker.answers()
    wait_until(lambda: worker.metric("joulebox_inflight_requests") == 0, 5)
    wait_until(lambda: worker.files <= before, 5)
