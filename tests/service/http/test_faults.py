"""What goes wrong while clients are at work: none of their requests fails for it, and nothing grows."""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulebox.package import write_package
from servers import wait_until

IMAGE = np.arange(16, dtype=np.float32)
SUMS = np.array([45.0, 35.0, 40.0], np.float32)
MIB = 2**20


def request(items: int = 1) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request with a raw tensor, and raw tensors asked for."""
    images = np.tile(IMAGE, items)
    tensor = {
        "name": "image",
        "shape": [items, 1, 4, 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": images.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + images.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


class Load:
    """Clients that ask as fast as they are answered, until told to stop."""

    def __init__(self, port: int, clients: int = 4, items: int = 1) -> None:
        self.answers: Counter[Any] = Counter()
        self.versions: Counter[str] = Counter()
        self._port, self._items = port, items
        self._stopping = False
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:  # noqa: PYI034  # Self is of Python 3.11
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join(20)

    def wait(self, count: int) -> None:
        """Until so many more are answered."""
        wanted, deadline_s = self.answers.total() + count, time.monotonic() + 30
        while self.answers.total() < wanted and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def _ask(self) -> None:
        body, headers = request(self._items)
        connection = HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stopping:
            try:
                connection.request("POST", "/v2/models/tiny/infer", body, headers)
                answer = connection.getresponse()
                content = answer.read()
                size = int(answer.headers.get("inference-header-content-length", 0))
                right = content[size:] == SUMS.tobytes() * self._items
                self.answers[answer.status if answer.status != 200 or right else "wrong"] += 1
                if size:
                    self.versions[json.loads(content[:size])["model_version"]] += 1
            except OSError as error:
                self.answers[type(error).__name__] += 1
        connection.close()


def write(tiny: Any, out: Path, number: int, **changes: Any) -> Any:
    """The tiny package in another version, in the place of the one that lies there."""
    made_of = {"inputs": f"{number:064x}", "made_of": {"by": "tests"}}
    return write_package(out, tiny.fields(lineage=made_of, **changes), tiny.files(), {})


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages") / "tiny"


@pytest.fixture(scope="module")
def worker(work: Any, tiny: Any, out: Path) -> Iterator[Any]:
    write(tiny, out, 0)
    with work(out, body_timeout_s=2, idle_timeout_s=2) as running:
        yield running


@pytest.fixture(autouse=True)
def _goes_on(worker: Any) -> Iterator[None]:
    yield
    assert worker.answers()
    wait_until(lambda: worker.metric("joulebox_inflight_requests") == 0, 5)


def load(worker: Any) -> tuple[int, bytes]:
    status, _, content = worker.ask("POST", "/v2/repository/models/tiny/load")
    return status, content


def index(worker: Any) -> list[dict[str, Any]]:
    return json.loads(worker.ask("POST", "/v2/repository/index")[2])


@pytest.mark.parametrize("items", [1, 4000])
def test_versions_are_swapped_under_load_and_no_request_fails(worker: Any, tiny: Any, out: Path, items: int) -> None:
    swapped: list[str] = []
    with Load(worker.port, items=items) as clients:
        for number in range(4):
            clients.wait(20)
            package = write(tiny, out, 10 * items + number)
            assert load(worker) == (200, b"{}")
            swapped.append(package.manifest.version)
        clients.wait(20)
    assert set(clients.answers) == {200}, clients.answers
    assert set(swapped) <= set(clients.versions), "each was served"
    (entry,) = index(worker)
    assert (entry["version"], entry["state"]) == (swapped[-1], "READY")


def test_swapping_leaves_nothing_behind(worker: Any, tiny: Any, out: Path) -> None:
    def swap(first: int, count: int) -> None:
        for number in range(first, first + count):
            write(tiny, out, number)
            assert load(worker)[0] == 200
            assert worker.answers()

    swap(1000, 10)
    files, threads, held = worker.files, worker.process.num_threads(), worker.resident_bytes
    swap(2000, 25)
    wait_until(lambda: worker.files <= files, 5)
    wait_until(lambda: worker.process.num_threads() <= threads, 5)
    assert worker.resident_bytes - held < 12 * MIB


def test_a_corrupt_version_under_load_leaves_the_old_one_serving(worker: Any, tiny: Any, out: Path) -> None:
    good = index(worker)[0]["version"]
    failures = worker.metric("joulebox_load_failures_total")
    with Load(worker.port) as clients:
        clients.wait(20)
        package = write(tiny, out, 77)
        file = package.folder / "variants/cpu-fp32.onnx"
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[:-1])
        status, content = load(worker)
        assert status == 400
        assert b"failed to load 'tiny'" in content
        clients.wait(20)
    assert set(clients.answers) == {200}, clients.answers
    assert set(clients.versions) == {good}
    entries = {entry["state"]: entry for entry in index(worker)}
    assert entries["READY"]["version"] == good
    assert "cpu-fp32.onnx" in entries["UNAVAILABLE"]["reason"]
    assert worker.metric("joulebox_load_failures_total") == failures + 1
    write(tiny, out, 78)
    assert load(worker)[0] == 200
    assert [entry["state"] for entry in index(worker)] == ["READY"], "the failure is forgotten"


def test_a_version_that_answers_wrongly_is_not_served(worker: Any, tiny: Any, out: Path) -> None:
    good = index(worker)[0]["version"]
    files = {**tiny.files(), "golden.npz": tiny.golden(np.ones((tiny.SAMPLES, 3), np.float32))}
    write_package(out, tiny.fields(lineage={"inputs": "9" * 64, "made_of": {}}), files, {})
    with Load(worker.port) as clients:
        clients.wait(10)
        assert load(worker)[0] == 400
        clients.wait(10)
    assert set(clients.answers) == {200}
    assert set(clients.versions) == {good}
    write(tiny, out, 79)
    assert load(worker)[0] == 200


def test_who_loads_and_leaves_has_loaded(worker: Any, tiny: Any, out: Path) -> None:
    package = write(tiny, out, 80)
    with worker.connect() as client:
        client.sendall(b"POST /v2/repository/models/tiny/load HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.005)
    wait_until(lambda: [entry["version"] for entry in index(worker)] == [package.manifest.version], 10)


def vanish(port: int, seconds: float) -> None:
    """Clients that send some of a request, or all of it, and go in one of the ways there are."""
    body, headers = request(2000)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    whole = f"POST /v2/models/tiny/infer HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
    chance, deadline_s = random.Random(1), time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        with socket.create_connection(("127.0.0.1", port), 5) as client, suppress(OSError):
            client.sendall(whole[: chance.choice([0, 1, 30, 200, len(whole) // 2, len(whole) - 1, len(whole)])])
            if chance.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_clients_that_vanish_under_load_harm_nobody(worker: Any) -> None:
    files, held = worker.files, worker.resident_bytes
    with Load(worker.port, clients=2) as clients:
        vanish(worker.port, 2.0)
        clients.wait(20)
    assert set(clients.answers) == {200}, clients.answers
    wait_until(lambda: worker.files <= files, 5)
    assert worker.resident_bytes - held < 30 * MIB


def test_a_full_disk_while_loading_changes_nothing(work: Any, tiny: Any, tmp_path: Path) -> None:
    """The worker may not write a byte into any file: the change cannot be told to others, so it is not made."""
    resource = pytest.importorskip("resource")
    out = tmp_path / "tiny"
    good = write(tiny, out, 1).manifest.version
    with work(out) as worker:
        before = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
        write(tiny, out, 2)
        with Load(worker.port, clients=2) as clients:
            clients.wait(20)
            resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
            status, content = load(worker)
            assert status == 500
            assert os.strerror(errno.EFBIG).encode() in content
            assert b"nothing was changed" in content
            clients.wait(20)
            resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, before)
        assert set(clients.answers) == {200}, clients.answers
        assert set(clients.versions) == {good}
        assert worker.ask("GET", "/v2/health/ready")[0] == 200
        assert load(worker)[0] == 200
        assert worker.answers()


@pytest.mark.slow
def test_20_000_requests_of_all_kinds_leave_the_process_as_it_was(worker: Any) -> None:
    kinds = [
        ("POST", "/v2/models/tiny/infer", *request()),
        ("POST", "/v2/models/tiny/infer", *request(64)),
        ("POST", "/v2/models/tiny/infer", b'{"inputs": []}', {}),
        ("POST", "/v2/models/tiny/infer", b"noise", {"Inference-Header-Content-Length": "3"}),
        ("GET", "/v2/models/tiny", None, {}),
        ("GET", "/v2/models/{}", None, {}),
        ("GET", "/{}?x={}", None, {"X-{}": "y"}),
    ]

    def ask(count: int) -> None:
        connection = HTTPConnection("127.0.0.1", worker.port, timeout=20)
        for number in range(count):
            method, path, body, headers = kinds[number % len(kinds)]
            unique = {name.replace("{}", str(number)): value for name, value in headers.items()}
            connection.request(method, path.replace("{}", f"n{number}"), body, unique)
            assert connection.getresponse().read()
            if number % 50 == 0:
                connection.close()
        connection.close()

    ask(4000)
    files, threads, held = worker.files, worker.process.num_threads(), worker.resident_bytes
    ask(20_000)
    wait_until(lambda: worker.files <= files, 5)
    assert worker.process.num_threads() <= threads
    assert worker.resident_bytes - held < 6 * MIB
