"""The same application under a plain ASGI server (BentoML's own worker, as `bentoml serve` starts it): slower, and as safe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from joulebox.package import write_package
from servers import wait_until

BENTOML = ("_bentoml_impl.worker.service", "joulebox.server.service:InferenceService")


@pytest.fixture(scope="module")
def worker(work: Any, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("packages")
    package, slow = write_package(folder / "tiny", tiny.fields(), tiny.files(), {}), tiny.slow_package(folder / "slow")
    limits = {"body_bytes_max": 4_000_000, "batch_max": 64, "batch_delay_ms": 400}
    with work(package.folder, slow.folder, module=BENTOML, run_folder="", **limits) as running:
        yield running


def test_it_answers_and_says_how_long_it_took(worker: Any) -> None:
    assert worker.answers()
    status, headers, _ = worker.ask("GET", "/v2", X_Request_Id="camera-7")
    assert (status, headers["x-request-id"]) == (200, "camera-7")
    assert worker.ask("GET", "/docs.json")[0] == 200
    assert worker.ask("HEAD", "/v2/health/live")[0] == 200
    assert worker.ask("GET", "/nothing")[0] == 404
    assert worker.ask("GET", "/v2/models/tiny/infer")[0] == 405


def test_large_bodies_are_refused(worker: Any) -> None:
    assert worker.ask("POST", "/v2/models/tiny/infer", b"x" * 4_000_001)[0] == 413
    assert worker.answers()


def test_what_a_client_that_has_gone_had_asked_for_is_dropped(worker: Any) -> None:
    image = b'{"inputs":[{"name":"image","shape":[1,1,4,4],"datatype":"FP32","data":[0' + b",0" * 15 + b"]}]}"
    before = worker.metric("joulebox_inferences_total", model="slow")
    with worker.connect() as client:
        client.sendall(
            b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(image) + image
        )
        wait_until(lambda: worker.metric("joulebox_inflight_requests") == 1)
    wait_until(lambda: worker.metric("joulebox_inflight_requests") == 0, 5)
    time.sleep(0.5)
    assert worker.metric("joulebox_inferences_total", model="slow") == before
    assert worker.metric("joulebox_request_duration_seconds_count", code="499") == 1


def test_a_client_that_goes_in_its_body_is_no_error(worker: Any) -> None:
    files = worker.files
    for _ in range(20):
        with worker.connect() as client:
            client.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    assert worker.answers()
    wait_until(lambda: worker.files <= files, 5)
