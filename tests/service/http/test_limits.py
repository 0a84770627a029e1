"""What one worker holds at most: connections, bytes, requests of one client; and who may ask at all."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulebox.package import write_package
from servers import wait_until

CONNECTIONS, HELD_BYTES, AT_ONCE = 20, 300_000, 3
START = b"POST /v2/models/tiny/infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
OLD, NEW = "old-" + "k" * 20, "new-" + "k" * 20
LINGER_S, SWEEP_S = 1.0, 0.5


@pytest.fixture(scope="module")
def package(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("packages") / "tiny", tiny.fields(), tiny.files(), {}).folder


@pytest.fixture(scope="module")
def worker(work: Any, package: Path) -> Iterator[Any]:
    limits = {
        "connections_max": CONNECTIONS,
        "inflight_bytes_max": HELD_BYTES,
        "body_bytes_max": 200_000,
        "client_inflight_max": AT_ONCE,
    }
    with work(package, **limits) as running:
        yield running


@pytest.fixture(autouse=True)
def _frees_what_was_held(worker: Any) -> Iterator[None]:
    yield
    wait_until(worker.answers, 5)


def first(client: socket.socket) -> tuple[int, bytes]:
    """Status and the whole of what comes until nothing does."""
    content = b""
    client.settimeout(0.5)
    try:
        while part := client.recv(65536):
            content += part
    except TimeoutError:
        pass
    return int(content.split(b" ", 2)[1]), content


def test_more_connections_than_the_limit_are_told_so_and_closed(worker: Any) -> None:
    before = worker.files
    with ExitStack() as stack:
        kept = [stack.enter_context(worker.connect()) for _ in range(CONNECTIONS)]
        for client in kept[:3]:
            client.sendall(b"GET /v2/health/live HTTP/1.1\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        over = [stack.enter_context(worker.connect()) for _ in range(30)]
        status, content = first(over[0])
        assert status == 503
        assert b"retry-after: 1\r\n" in content
        assert b"20 connections are open, which is the limit" in content
        time.sleep(LINGER_S + SWEEP_S)
        assert worker.files <= before + CONNECTIONS + 1, "also of clients that do not close"
    wait_until(lambda: worker.files <= before, 5)


def test_bodies_under_way_are_bounded_together_and_freed(worker: Any) -> None:
    for _ in range(3):
        with worker.connect() as one, worker.connect() as other:
            one.sendall(START % 190_000 + b"x" * 180_000)
            time.sleep(0.1)
            other.sendall(START % 190_000 + b"x" * 180_000)
            status, content = first(other)
            assert status == 503
            assert b"retry-after: 1\r\n" in content
            assert b"300000 bytes" in content
        wait_until(worker.answers, 5)


def test_what_a_compressed_body_holds_counts_and_is_bounded(worker: Any) -> None:
    bomb = gzip.compress(bytes(100 * 2**20))
    status, _, content = worker.ask("POST", "/v2/models/tiny/infer", bomb, Content_Encoding="gzip")
    assert status == 413
    assert b"holds more than 200000 bytes" in content
    for _ in range(5):  # each is within the limit of one, all together are not
        body = gzip.compress(b"{" + b" " * 150_000)
        assert worker.ask("POST", "/v2/models/tiny/infer", body, Content_Encoding="gzip")[0] == 400
    with worker.connect() as other:
        other.sendall(START % 190_000 + b"x" * 180_000)
        time.sleep(0.1)
        status, headers, content = worker.ask("POST", "/v2/models/tiny/infer", body, Content_Encoding="gzip")
        assert (status, headers["retry-after"]) == (503, "1")


def test_a_client_over_its_own_limit_gets_429_and_others_go_on(worker: Any) -> None:
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            client = stack.enter_context(worker.connect())
            client.sendall(START % 10 + b"x")
        time.sleep(0.1)
        status, headers, content = worker.ask("GET", "/v2")
        assert (status, headers["retry-after"]) == (429, "1")
        assert b"3 requests under way" in content
        with socket.socket() as other:
            other.bind(("127.0.0.2", 0))
            other.connect(("127.0.0.1", worker.port))
            other.sendall(b"GET /v2 HTTP/1.1\r\n\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"


def test_keys_are_asked_for_and_change_while_the_server_runs(work: Any, package: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"camera:{OLD}\n")
    file.chmod(0o600)
    with work(package, api_keys_file=file) as keyed:
        for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert keyed.ask("GET", path)[0] == 200, "probes carry no key"
        for path in (
            "/v2",
            "/v2/models/tiny",
            "/metrics",
            "/energy",
            "/",
            "/docs.json",
            "/nothing",
            "//v2/health/live",
        ):
            status, headers, content = keyed.ask("GET", path)
            assert status == 401, path
            assert headers["www-authenticate"].startswith("Bearer")
            assert b"API key" in content
        status, headers, _ = keyed.ask("POST", "/v2/models/tiny/infer", b"x" * 1000, X_API_Key=NEW)
        assert status == 401
        with keyed.connect() as client:
            client.sendall(START % 10_000_000 + b"x" * 1000)
            status, content = first(client)
            assert status == 401
            assert b"connection: close" in content, "a large body of a stranger's is not read"
        assert keyed.ask("GET", "/v2", X_API_Key=OLD)[0] == 200
        assert keyed.ask("GET", "/v2", Authorization=f"Bearer {OLD}")[0] == 200
        file.write_text(f"camera:{OLD}\ncamera:{NEW}\n")
        wait_until(lambda: keyed.ask("GET", "/v2", X_API_Key=NEW)[0] == 200, 5)
        assert keyed.ask("GET", "/v2", X_API_Key=OLD)[0] == 200
        file.write_text(f"camera:{NEW}\n")
        wait_until(lambda: keyed.ask("GET", "/v2", X_API_Key=OLD)[0] == 401, 5)
        assert keyed.ask("GET", "/v2", X_API_Key=NEW)[0] == 200


def test_web_pages_and_closed_repositories_change_nothing(worker: Any, work: Any, package: Path) -> None:
    unload = "/v2/repository/models/tiny/unload"
    status, _, content = worker.ask("POST", unload, Origin="http://127.0.0.1")
    assert status == 403
    assert b"web pages" in content
    assert worker.ask("POST", "/v2/repository/index", Origin="http://127.0.0.1")[0] == 200
    with work(package, repository_control="off") as closed:
        assert closed.ask("POST", unload)[0] == 403
        assert closed.ask("POST", "/v2/repository/index")[0] == 403
        assert closed.answers()


def test_answers_say_how_long_they_took_and_which_request_they_are_of(worker: Any) -> None:
    image = np.zeros(16, np.float32).tolist()
    body = json.dumps({"inputs": [{"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": image}]})
    status, headers, _ = worker.ask("POST", "/v2/models/tiny/infer", body, X_Request_Id="camera-7")
    assert status == 200
    assert headers["x-request-id"] == "camera-7"
    timing = dict(part.split(";dur=") for part in headers["server-timing"].split(", "))
    assert list(timing) == ["queue", "compute", "total"]
    assert 0 <= float(timing["queue"]) + float(timing["compute"]) <= float(timing["total"]) < 1000
    ids = {worker.ask("GET", path)[1]["x-request-id"] for path in ("/v2", "/v2", "/nothing", "/", "/metrics")}
    assert len(ids) == 5
    forged = worker.ask("GET", "/v2", X_Request_Id="a b" + "c" * 500)[1]["x-request-id"]
    assert " " not in forged
    assert len(forged) < 100


def test_pages_carry_headers_that_keep_them_to_themselves(worker: Any) -> None:
    for path in ("/", "/docs.json", "/static_content/index.css"):
        status, headers, _ = worker.ask("GET", path)
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf", "1e99", "1" * 400])
def test_a_deadline_that_is_none_is_refused_whether_or_not_there_is_a_queue(worker: Any, value: str) -> None:
    status, _, content = worker.ask("POST", "/v2/models/tiny/infer", BODY, X_Request_Timeout_Ms=value)
    assert status == 400
    assert b"X-Request-Timeout-Ms" in content


BODY = json.dumps({"inputs": [{"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": [0.0] * 16}]})
